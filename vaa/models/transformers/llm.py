"""An LLM that transformers supports, run by it in this process or by vLLM's engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vaa.errors import ConfigError, require_at_least
from vaa.generation import GenerationConfig
from vaa.models.base import Backend, Dtype, LocalWeights, Quantization, Requirements, libraries
from vaa.models.checkpoints.weights import checkpoint_identity
from vaa.models.transformers.batching import answer_in_batches
from vaa.models.transformers.generation import check_sampling, drop_checkpoint_sampling
from vaa.models.transformers.loaded_model import LoadedModel
from vaa.models.transformers.loading import count_tokens, free_memory, load, load_with_attention, loading_options
from vaa.models.vllm.answers import answer_queries
from vaa.models.vllm.engine import backend_identity, backend_libraries, check_backend
from vaa.models.vllm.loading import load_model
from vaa.models.vllm.requests import VllmModel
from vaa.models.vllm.settings import VllmSettings
from vaa.types import ChatQuery, ChooseQuery, Floats, GenerateQuery, NoAnswer


@dataclass(frozen=True, kw_only=True)
class TransformersLLM:
    """A frozen LLM, which does not think if its chat template can switch that off.

    Without `chat` the model continues the text of the query, without a chat template: for prompts with examples and
    answers in their text, and for models that were not trained on chats. The other fields are those of TransformersVLM.
    """

    backend: Backend
    vllm: VllmSettings | None
    checkpoint: str
    revision: str | None
    dtype: Dtype
    quantization: Quantization
    device_map: str
    attention: str
    generation: GenerationConfig
    batch_size: int
    chat: bool

    def __post_init__(self) -> None:
        require_at_least(1, batch_size=self.batch_size)
        check_sampling(self.generation)
        check_backend(self.backend, self.vllm, self.quantization)

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision and generation; chat or not; vLLM's version; neither batch size nor device.

        Raises:
            ConfigError: backend=vllm, and vLLM is not installed.
        """
        name, engine = checkpoint_identity(self.checkpoint, self.revision), backend_identity(self.backend)
        form = "" if self.chat else " continued"
        return f"{name} {self.dtype} {self.quantization} {self.generation.identity}{form}{engine}"

    @property
    def requirements(self) -> Requirements:
        """The weights, bitsandbytes if quantized, and vLLM if it runs them."""
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
        needed = (*backend_libraries(self.backend), *libraries(quantization=self.quantization))
        return Requirements(name=self.checkpoint, weights=weights, libraries=needed)

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """Yield texts in order.

        Raises:
            ConfigError: a query has frames.
        """
        return self._answer(queries)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """Yield the probabilities of each query's choices, in order.

        Raises:
            ConfigError: a query has frames.
        """
        return self._answer(queries)

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a text, without special tokens; this loads the tokenizer, not the weights."""
        return count_tokens(self.checkpoint, self.revision, text)

    def release(self) -> None:
        """Free the weights."""
        if _loaded.pop(self, None):
            free_memory()
        if started := _started.pop(self, None):
            started.release()

    def _answer(self, queries: Sequence[ChatQuery]) -> Iterator[Any]:
        with_frames = next((query for query in queries if query.frames), None)
        if with_frames is not None:
            raise ConfigError(f"'{self.checkpoint}' is text-only, but the {with_frames.purpose} prompt has frames.")
        if self.backend == "vllm":
            return answer_queries(self._start, queries, self.generation, decoder="none", workers=0)
        return answer_in_batches(self._load, queries, self.generation, decoder="none", workers=0)

    def _start(self) -> VllmModel:
        if self not in _started or _started[self].engine.stopped:
            assert self.vllm is not None  # noqa: S101, by check_backend
            _started[self] = load_model(
                self.checkpoint,
                self.revision,
                dtype=self.dtype,
                quantization=self.quantization,
                settings=self.vllm,
                frame_processor=None,
                chat=self.chat,
            )
        return _started[self]

    def _load(self) -> LoadedModel:
        if self not in _loaded:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            options = loading_options(self.device_map, self.dtype, self.quantization)
            tokenizer = load(AutoTokenizer, self.checkpoint, self.revision)
            model = load_with_attention(
                AutoModelForCausalLM, self.checkpoint, self.revision, self.attention, options
            ).eval()
            drop_checkpoint_sampling(model, tokenizer)
            _loaded[self] = LoadedModel(
                model=model, tokenizer=tokenizer, frame_processor=None, batch_size=self.batch_size, chat=self.chat
            )
        return _loaded[self]


_loaded: dict[TransformersLLM, LoadedModel] = {}
_started: dict[TransformersLLM, VllmModel] = {}
