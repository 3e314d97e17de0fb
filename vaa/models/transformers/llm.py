"""Any text-only checkpoint that transformers has natively, run here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vaa.errors import ConfigError
from vaa.models.base import LocalWeights, Requirements, libraries
from vaa.models.checkpoints.files import checkpoint_identity
from vaa.models.transformers import batching, loading
from vaa.models.transformers.generation import GenerationConfig, settle
from vaa.models.transformers.loaded import LoadedModel
from vaa.types import ChatQuery, ChooseQuery, Floats, GenerateQuery, NoAnswer


@dataclass(frozen=True)
class TransformersLLM:
    """A frozen LLM, asked in left-padded batches; it does not think aloud where its chat template can say so.

    The fields are those of TransformersVLM.
    """

    checkpoint: str
    revision: str | None
    dtype: str
    quantization: str
    device_map: str
    attention: str
    temperature: float
    top_p: float
    seed: int
    batch_size: int

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision and how tokens are taken; neither batch nor device."""
        name = checkpoint_identity(self.checkpoint, self.revision)
        return f"{name} {self.dtype} {self.quantization} {self._sampling.identity}"

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """Texts in order.

        Raises:
            ConfigError: a query has frames.
        """
        self._refuse_frames(queries)
        return batching.answers(self._load, queries, self._sampling, decoder="none", workers=0)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """The probabilities of each query's choices, in order.

        Raises:
            ConfigError: a query has frames.
        """
        self._refuse_frames(queries)
        return batching.answers(self._load, queries, self._sampling, decoder="none", workers=0)

    def _refuse_frames(self, queries: Sequence[ChatQuery]) -> None:
        seen = next((query for query in queries if query.frames), None)
        if seen is not None:
            raise ConfigError(f"'{self.checkpoint}' reads text only; the {seen.purpose} prompt shows it frames.")

    @property
    def requirements(self) -> Requirements:
        """Its weights, and bitsandbytes if quantized."""
        weights = LocalWeights(
            checkpoint=self.checkpoint,
            revision=self.revision,
            device_map=self.device_map,
            dtype=self.dtype,
            quantization=self.quantization,
            attention=self.attention,
            batch_size=self.batch_size,
            image_processor=False,
        )
        needed = libraries(quantization=self.quantization)
        return Requirements(name=self.checkpoint, weights=weights, libraries=needed)

    def release(self) -> None:
        """Forget the weights."""
        if _loaded.pop(self, None):
            loading.free_memory()

    @property
    def _sampling(self) -> GenerationConfig:
        return GenerationConfig(self.temperature, self.top_p, self.seed)

    def _load(self) -> LoadedModel:
        if self not in _loaded:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            options = loading.loading_options(self.device_map, self.dtype, self.quantization)
            tokenizer = loading.load(AutoTokenizer, self.checkpoint, self.revision)
            model = loading.load_with_attention(
                AutoModelForCausalLM, self.checkpoint, self.revision, self.attention, options
            ).eval()
            settle(model, tokenizer)
            _loaded[self] = LoadedModel(model, tokenizer, None, self.batch_size)
        return _loaded[self]


_loaded: dict[TransformersLLM, LoadedModel] = {}
