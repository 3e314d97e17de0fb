"""How the tokens of an answer are chosen: a model's setting, which a query may replace."""

from __future__ import annotations

from dataclasses import dataclass

from vaa.errors import ConfigError, require_at_least


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How each token of an answer is chosen.

    With `temperature` 0 it is the most likely one. Otherwise it is sampled from the `top_k` most likely tokens, and of
    these from the most likely ones whose probabilities add up to `top_p`. None leaves a value to a server's own
    default; for a local model only `top_k` may be None, for all tokens.
    """

    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None

    def __post_init__(self) -> None:
        require_at_least(0, seed=self.seed)
        require_at_least(1, top_k=self.top_k)
        if self.temperature is not None and not self.temperature >= 0:
            raise ConfigError(f"generation.temperature={self.temperature}: must be at least 0.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"generation.top_p={self.top_p}: must be above 0 and at most 1.")

    @property
    def identity(self) -> str:
        """The part of a model's identity."""
        if self.temperature == 0:
            return "greedy"
        top_k = "" if self.top_k is None else f" top_k {self.top_k}"
        return f"temperature {self.temperature} top_p {self.top_p}{top_k} seed {self.seed}"


GREEDY = GenerationConfig(temperature=0.0, top_p=1.0, top_k=None, seed=0)
