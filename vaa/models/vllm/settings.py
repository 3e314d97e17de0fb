"""How vLLM uses the machine: the fields of `vllm` in conf/config.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from vaa.errors import ConfigError, require_at_least


@dataclass(frozen=True, kw_only=True)
class VllmSettings:
    """Settings of the engine that do not change an answer beyond rounding.

    Attributes:
        tensor_parallel: GPUs that share each layer.
        pipeline_parallel: GPUs among which the layers are divided.
        max_length: Most tokens of a query with its frames and its answer; None for the checkpoint's own limit.
        memory: Share of a GPU's memory that weights and key-value cache may take.
        timeout: Seconds without any new token after which the engine counts as hung.
    """

    tensor_parallel: int
    pipeline_parallel: int
    max_length: int | None
    memory: float
    timeout: float

    def __post_init__(self) -> None:
        require_at_least(1, tensor_parallel=self.tensor_parallel, pipeline_parallel=self.pipeline_parallel)
        require_at_least(1, max_length=self.max_length, timeout=self.timeout)
        if not 0 < self.memory <= 1:
            raise ConfigError(f"vllm.memory={self.memory}: give a share of a GPU's memory, above 0 and at most 1.")
