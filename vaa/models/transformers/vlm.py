"""A VLM of a supported family, run by transformers in this process or by vLLM's engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from vaa.errors import ConfigError, require_at_least
from vaa.generation import GenerationConfig
from vaa.models.base import Backend, Dtype, LocalWeights, Quantization, Requirements, libraries
from vaa.models.checkpoints.weights import checkpoint_identity
from vaa.models.transformers.batching import answer_in_batches
from vaa.models.transformers.families import FrameProcessor, family_of
from vaa.models.transformers.generation import check_sampling, drop_checkpoint_sampling
from vaa.models.transformers.loaded_model import LoadedModel
from vaa.models.transformers.loading import count_tokens, free_memory, load, load_with_attention, loading_options
from vaa.models.transformers.vision_features import check_accepts_features
from vaa.models.vllm.answers import answer_queries
from vaa.models.vllm.engine import backend_identity, backend_libraries, check_backend
from vaa.models.vllm.loading import load_model
from vaa.models.vllm.requests import VllmModel
from vaa.models.vllm.settings import VllmSettings
from vaa.types import XYXY, ChatQuery, ChooseQuery, DecoderName, Floats, GenerateQuery, NoAnswer, Video
from vaa.video import sources
from vaa.video.resize import Resize, resize_identity


@dataclass(frozen=True, kw_only=True)
class TransformersVLM:
    """A frozen VLM, run by transformers in left-padded batches, or by vLLM (of the families that it supports).

    Attributes:
        backend: transformers or vllm. `device_map`, `attention` and `batch_size` are of transformers only.
        vllm: Settings of vLLM; None where transformers runs the model.
        checkpoint: A folder in Hugging Face format, or a name on the hub.
        revision: Branch, tag or commit on the hub; None for main.
        dtype: float32, bfloat16 or float16.
        quantization: none, int8, nf4 or fp4 (bitsandbytes).
        device_map: As accelerate takes it; "auto" spreads the model over all GPUs, or uses the CPU.
        attention: An attention implementation of transformers; the next slower one is used where it is missing.
        max_pixels: Most pixels of a frame; None for the checkpoint's own limit.
        max_visual_tokens: Most visual tokens of a query, which its frames share by being made smaller; None for any.
        compress_tokens: Whether visual tokens that hardly differ from the previous frame's are dropped (VideoLLaMA3).
        timestamps: Whether each frame is preceded by its time.
        generation: How tokens are chosen.
        batch_size: Queries per batch to begin with; on a GPU it grows while memory allows. ChooseQueries about the same
            frames stay together.
        decoder: The video decoder.
        workers: Processes that prepare frames; None for as many as the machine has to spare.
        resize: The library that resizes frames: pil, or torch (InternVL only), which is several times faster and
            differs by 1 in one or two bytes of a thousand.
    """

    backend: Backend
    vllm: VllmSettings | None
    checkpoint: str
    revision: str | None
    dtype: Dtype
    quantization: Quantization
    device_map: str
    attention: str
    max_pixels: int | None
    max_visual_tokens: int | None
    compress_tokens: bool
    timestamps: bool
    generation: GenerationConfig
    batch_size: int
    decoder: DecoderName
    workers: int | None
    resize: Resize

    accepts_frames: ClassVar[bool] = True
    gives_probabilities: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(1, batch_size=self.batch_size, max_pixels=self.max_pixels)
        require_at_least(1, max_visual_tokens=self.max_visual_tokens)
        require_at_least(0, workers=self.workers)
        check_sampling(self.generation)
        check_backend(self.backend, self.vllm, self.quantization)

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision, preparation of frames, generation, vLLM's version; neither batch nor device.

        Raises:
            ConfigError: backend=vllm, and vLLM is not installed.
        """
        name = checkpoint_identity(self.checkpoint, self.revision)
        frames = f"max_pixels {self.max_pixels} timestamps {self.timestamps}" + resize_identity(self.resize)
        frames += "" if self.max_visual_tokens is None else f" max_visual_tokens {self.max_visual_tokens}"
        frames += " compressed" if self.compress_tokens else ""
        engine = backend_identity(self.backend)
        return f"{name} {self.dtype} {self.quantization} {frames} {self.generation.identity}{engine}"

    @property
    def requirements(self) -> Requirements:
        """The weights, bitsandbytes if quantized, vLLM if it runs them, and the decoder."""
        weights = LocalWeights(
            checkpoint=self.checkpoint,
            revision=self.revision,
            device_map=self.device_map,
            dtype=self.dtype,
            quantization=self.quantization,
            attention=self.attention,
            batch_size=self.batch_size,
            image_processor=True,
        )
        needed = (*backend_libraries(self.backend), *libraries(self.decoder, self.quantization))
        return Requirements(name=self.checkpoint, weights=weights, libraries=needed)

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """Yield texts in order; NoAnswer where frames cannot be decoded."""
        return self._answer(queries)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """Yield the probabilities of each query's choices, in order; NoAnswer where frames cannot be decoded."""
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

    def check_boxes(self) -> None:
        """Check, by the checkpoint's config, that the model gives boxes.

        Raises:
            ConfigError: the model's family was not trained to give boxes.
            ModelError: the config cannot be read.
        """
        self.box_space((640, 360))

    def to_frame(self, video: Video, xyxy: XYXY) -> XYXY:
        """Convert a box from the model's coordinates to the pixels of the video's frames.

        Raises:
            ConfigError: the model's family was not trained to give boxes.
            VideoError: the video cannot be decoded, so the size of its frames is unknown.
        """
        width, height = _frame_size(video, self.decoder)
        box_width, box_height = self.box_space((width, height))
        x, y = width / box_width, height / box_height
        return xyxy[0] * x, xyxy[1] * y, xyxy[2] * x, xyxy[3] * y

    def box_space(self, frame: tuple[int, int]) -> tuple[float, float]:
        """Width and height of the space in which the model gives boxes on a frame of this (width, height).

        Raises:
            ConfigError: the model's family was not trained to give boxes.
        """
        config, processor = _config_and_processor(self.checkpoint, self.revision)
        box_space = family_of(config).box_space
        if box_space is None:
            raise ConfigError(
                f"'{self.checkpoint}' ({config.model_type}) was not trained to give boxes. Choose another model for "
                "them, as in boxer=qwen2_5_vl."
            )
        return box_space(processor, frame, self.max_pixels)

    def _answer(self, queries: Sequence[ChatQuery]) -> Iterator[Any]:
        if self.backend == "vllm":
            return answer_queries(self._start, queries, self.generation, self.decoder, self.workers)
        return answer_in_batches(self._load, queries, self.generation, self.decoder, self.workers)

    def _start(self) -> VllmModel:
        if self not in _started or _started[self].engine.stopped:
            assert self.vllm is not None  # noqa: S101, by check_backend
            _started[self] = load_model(
                self.checkpoint,
                self.revision,
                dtype=self.dtype,
                quantization=self.quantization,
                settings=self.vllm,
                frame_processor=self._frame_processor,
            )
        return _started[self]

    def _frame_processor(self, config: Any, processor: Any) -> FrameProcessor:
        return FrameProcessor(
            family=family_of(config),
            config=config,
            processor=processor,
            max_pixels=self.max_pixels,
            max_visual_tokens=self.max_visual_tokens,
            compress_tokens=self.compress_tokens,
            dtype=self.dtype,
            timestamps=self.timestamps,
            resize=self.resize,
        )

    def _load(self) -> LoadedModel:
        if self not in _loaded:
            from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

            options = loading_options(self.device_map, self.dtype, self.quantization)
            tokenizer = load(AutoTokenizer, self.checkpoint, self.revision)
            processor = load(AutoImageProcessor, self.checkpoint, self.revision, backend="pil")
            model = load_with_attention(
                AutoModelForImageTextToText, self.checkpoint, self.revision, self.attention, options
            ).eval()
            check_accepts_features(model)
            drop_checkpoint_sampling(model, tokenizer)
            _loaded[self] = LoadedModel(
                model=model,
                tokenizer=tokenizer,
                frame_processor=self._frame_processor(model.config, processor),
                batch_size=self.batch_size,
            )
        return _loaded[self]


_loaded: dict[TransformersVLM, LoadedModel] = {}
_started: dict[TransformersVLM, VllmModel] = {}


@cache
def _frame_size(video: Video, decoder: str) -> tuple[int, int]:
    height, width = sources.frames(video, [0], decoder)[0].shape[:2]
    return width, height


@cache
def _config_and_processor(checkpoint: str, revision: str | None) -> tuple[Any, Any]:
    """A checkpoint's config and image processor, without its weights."""
    from transformers import AutoConfig, AutoImageProcessor

    return load(AutoConfig, checkpoint, revision), load(AutoImageProcessor, checkpoint, revision, backend="pil")
