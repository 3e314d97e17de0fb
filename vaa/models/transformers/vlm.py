"""Any VLM of a known family that transformers has natively, run here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from vaa.errors import VaaError
from vaa.models.base import LocalWeights, Requirements, libraries
from vaa.models.checkpoints.files import checkpoint_identity
from vaa.models.transformers import batching, loading, vision_features
from vaa.models.transformers.families import family, mark_internvl, tokens_per_image
from vaa.models.transformers.generation import GenerationConfig, settle
from vaa.models.transformers.loaded import FrameProcessor, LoadedModel, write
from vaa.types import XYXY, ChatQuery, ChooseQuery, Floats, GenerateQuery, NoAnswer, Video
from vaa.video import sources
from vaa.video.resize import resized_by

__all__ = ["TransformersVLM", "chat", "tokens_per_image"]


@dataclass(frozen=True)
class TransformersVLM:
    """A frozen VLM, asked in left-padded batches.

    `dtype`: float32, bfloat16 or float16; `quantization`: none, int8, nf4 or fp4 (bitsandbytes); `device_map` as
    accelerate takes it ("auto" spreads over all GPUs, or the CPU); `attention`: an implementation of transformers, the
    next slower one where it is missing; `max_pixels` of a frame, null for the checkpoint's own limit; `timestamps` puts
    each frame's time before it; `temperature` 0 is greedy. `batch_size` questions are asked at once to begin with, on a
    GPU soon as many as fit; those for choices about the same frames stay together. `workers` processes prepare frames
    beside the model, null: as many as the machine has to spare. Frames are made smaller by `resize`: pil, or for
    InternVL torch, which is many times sooner and a grey level off in one or two of a thousand values.
    """

    checkpoint: str
    revision: str | None
    dtype: str
    quantization: str
    device_map: str
    attention: str
    max_pixels: int | None
    timestamps: bool
    temperature: float
    top_p: float
    seed: int
    batch_size: int
    decoder: str
    workers: int | None
    resize: str

    accepts_frames: ClassVar[bool] = True

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision, how frames are shown and how tokens are taken; neither batch nor device."""
        name = checkpoint_identity(self.checkpoint, self.revision)
        shown = f"max_pixels {self.max_pixels} timestamps {self.timestamps}" + resized_by(self.resize)
        return f"{name} {self.dtype} {self.quantization} {shown} {self._sampling.identity}"

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """Texts in order; NoAnswer where frames cannot be decoded."""
        return batching.answers(self._load, queries, self._sampling, self.decoder, self.workers)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """The probabilities of each query's choices, in order; NoAnswer where frames cannot be decoded."""
        return batching.answers(self._load, queries, self._sampling, self.decoder, self.workers)

    @property
    def requirements(self) -> Requirements:
        """Its weights, bitsandbytes if quantized, and the decoder."""
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
        needed = libraries(self.decoder, self.quantization)
        return Requirements(name=self.checkpoint, weights=weights, libraries=needed)

    def release(self) -> None:
        """Forget the weights."""
        if _loaded.pop(self, None):
            loading.free_memory()

    def to_frame(self, video: Video, xyxy: XYXY) -> XYXY:
        """A box as the model wrote it, in the pixels of the video's frames.

        Raises:
            VaaError: models of this family were not trained to give boxes.
            VideoError: the video cannot be decoded, so that nobody knows how large its frames are.
        """
        width, height = _size(video, self.decoder)
        x, y = (mine / theirs for mine, theirs in zip((width, height), self.box_space((width, height)), strict=True))
        return xyxy[0] * x, xyxy[1] * y, xyxy[2] * x, xyxy[3] * y

    def box_space(self, frame: tuple[int, int]) -> tuple[float, float]:
        """Width and height of the space in which the model gives boxes on a frame of this (width, height).

        Raises:
            VaaError: models of this family were not trained to give boxes.
        """
        config, processor = _seeing(self.checkpoint, self.revision)
        boxes = family(config).boxes
        if boxes is None:
            raise VaaError(f"'{self.checkpoint}' ({config.model_type}) was not trained to give boxes.")
        return boxes(processor, frame, self.max_pixels)

    @property
    def _sampling(self) -> GenerationConfig:
        return GenerationConfig(self.temperature, self.top_p, self.seed)

    def _load(self) -> LoadedModel:
        if self not in _loaded:
            from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

            options = loading.loading_options(self.device_map, self.dtype, self.quantization)
            tokenizer = loading.load(AutoTokenizer, self.checkpoint, self.revision)
            processor = loading.load(AutoImageProcessor, self.checkpoint, self.revision, backend="pil")
            model = loading.load_with_attention(
                AutoModelForImageTextToText, self.checkpoint, self.revision, self.attention, options
            ).eval()
            vision_features.check(model)
            settle(model, tokenizer)
            eye = FrameProcessor(
                family(model.config), model.config, processor, self.max_pixels, self.timestamps, self.resize
            )
            _loaded[self] = LoadedModel(model, tokenizer, eye, self.batch_size)
        return _loaded[self]


_loaded: dict[TransformersVLM, LoadedModel] = {}


@cache
def _size(shown: Video, decoder: str) -> tuple[int, int]:
    height, width = sources.frames(shown, [0], decoder)[0].shape[:2]
    return width, height


@cache
def _seeing(name: str, revision: str | None) -> tuple[Any, Any]:
    """A checkpoint's config and image processor: enough to know its boxes, without its weights."""
    from transformers import AutoConfig, AutoImageProcessor

    return loading.load(AutoConfig, name, revision), loading.load(AutoImageProcessor, name, revision, backend="pil")


def chat(tokenizer: Any, query: ChatQuery, image_tokens: int) -> str:
    """The whole text an InternVL reads: the chat template round the prompt, each `<image>` as its visual tokens.

    Raises:
        VaaError: the text marks another number of images than the question has frames, or there is no chat template.
    """
    return write(tokenizer, query, [mark_internvl(tokenizer, None, image_tokens) for _ in query.frames])
