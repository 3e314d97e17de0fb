"""A sentence encoder: vectors of texts, by the mean over a BERT's tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaa.errors import ConfigError, ModelError, require_at_least
from vaa.models.base import Dtype, LocalWeights, Requirements
from vaa.models.checkpoints.weights import checkpoint_identity
from vaa.models.transformers.loading import free_memory, load, loading_options
from vaa.types import EmbedQuery, Floats, NoAnswer

_BATCHES = 64
"""Batches whose texts are sorted by length together; after each such part its vectors are cached."""


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """A BERT whose mean over a text's tokens, L2-normalised, is its vector (Sentence-BERT, Reimers and Gurevych, 2019).

    It embeds texts only, in a space of their own: descriptions are compared with texts, not with frames. A vector
    differs by about 1e-7 with the texts in its batch, which are padded to the longest.

    Attributes:
        checkpoint: A folder in Hugging Face format, or a name on the hub.
        revision: Branch, tag or commit on the hub; None for main.
        dtype: float32, bfloat16 or float16.
        device_map: As accelerate takes it.
        max_tokens: Longer texts are cut.
        batch_size: Texts per batch.
    """

    checkpoint: str
    revision: str | None
    dtype: Dtype
    device_map: str
    max_tokens: int
    batch_size: int

    def __post_init__(self) -> None:
        require_at_least(1, max_tokens=self.max_tokens, batch_size=self.batch_size)

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision and the longest text."""
        return f"{checkpoint_identity(self.checkpoint, self.revision)} {self.dtype} {self.max_tokens} tokens"

    @property
    def requirements(self) -> Requirements:
        """The weights."""
        weights = LocalWeights(
            checkpoint=self.checkpoint,
            revision=self.revision,
            device_map=self.device_map,
            dtype=self.dtype,
            quantization=None,
            attention="",
            batch_size=self.batch_size,
            image_processor=False,
        )
        return Requirements(name=self.checkpoint, weights=weights, libraries=())

    def embed(self, queries: Sequence[EmbedQuery]) -> Iterator[Floats | NoAnswer]:
        """Yield vectors of shape (d,) in order, zeros for an empty text.

        Raises:
            ConfigError: a query has frames.
        """
        if any(query.frames for query in queries):
            raise ConfigError(
                f"'{self.checkpoint}' embeds texts only, and a stage of this method compares frames: choose another "
                "encoder, such as encoder=clip_vit_b16."
            )
        size = _BATCHES * self.batch_size
        for first in range(0, len(queries), size):
            yield from self._embed_sorted([" ".join(query.text.split()) for query in queries[first : first + size]])

    def release(self) -> None:
        """Free the weights."""
        if _loaded.pop(self, None):
            free_memory()

    def _embed_sorted(self, texts: Sequence[str]) -> Iterator[Floats]:
        """Vectors in the order of the texts; texts of similar length are in one batch, so that little is padding."""
        order = sorted((k for k, text in enumerate(texts) if text), key=lambda k: len(texts[k]))
        vectors: dict[int, Floats] = {}
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            vectors.update(zip(batch, self._embed([texts[k] for k in batch]), strict=True))
        for k in range(len(texts)):
            yield vectors[k] if k in vectors else np.zeros(self._load()[0].config.hidden_size, dtype=np.float32)

    def _embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors (texts, d)."""
        import torch

        model, tokenizer = self._load()
        inputs = tokenizer([*texts], padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt").to(
            model.device
        )
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].unsqueeze(-1)
            means = (states * mask).sum(1) / mask.sum(1)
            return np.asarray(torch.nn.functional.normalize(means, dim=-1).cpu().numpy())

    def _load(self) -> tuple[Any, Any]:
        if self not in _loaded:
            from transformers import AutoModel, AutoTokenizer

            options = loading_options(self.device_map, self.dtype, "none")
            model = load(AutoModel, self.checkpoint, self.revision, **options).eval()
            if model.config.model_type != "bert":
                raise ModelError(f"'{self.checkpoint}' is a {model.config.model_type}; a text encoder is a BERT.")
            _loaded[self] = model, load(AutoTokenizer, self.checkpoint, self.revision)
        return _loaded[self]


_loaded: dict[TextEncoder, tuple[Any, Any]] = {}
