"""Frames for vLLM: resized as the transformers backend does it, so that vLLM's own processor changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from vaa.errors import ModelError
from vaa.models.transformers.families import (
    FrameProcessor,
    family_of,
    pixel_limits,
    refuse_max_pixels,
    require_pil,
    resized_frame,
    tokens_per_tile,
)
from vaa.types import ChatQuery, Pixels, Video
from vaa.video.prefetch import Frames, Prepared
from vaa.video.resize import RESIZERS, Size
from vaa.video.sources import open_source


@dataclass(frozen=True, kw_only=True)
class VllmFamily:
    """How vLLM is given the frames of one family.

    Attributes:
        mark: The text of a frame, from the tokenizer and the model's config; vLLM replaces its visual token by as many
            as the frame has.
        size: Width and height that a frame (height, width) is resized to, from the frame processor and the most pixels
            of a frame.
        added_tokens: Tokens that the frame's mark grows by, from the frame processor and the frame's size.
        options: The arguments of vLLM's processor with which it keeps frames of this size as they are.
    """

    mark: Callable[[Any, Any], str]
    size: Callable[[FrameProcessor, tuple[int, int], int | None], Size]
    added_tokens: Callable[[FrameProcessor, Size], int]
    options: Callable[[FrameProcessor], Mapping[str, Any]]


@dataclass(frozen=True, eq=False, kw_only=True)
class VllmFrames:
    """Prepares frames for a model that vLLM runs; `processor` has the checkpoint's settings and the family's checks."""

    processor: FrameProcessor
    family: VllmFamily

    @property
    def options(self) -> Mapping[str, Any]:
        """The arguments of vLLM's own processor."""
        return self.family.options(self.processor)

    def texts(self, tokenizer: Any, query: ChatQuery) -> list[str]:
        """The text of each of a query's frames."""
        return self.processor.frame_texts(tokenizer, query, [1] * len(query.frames))

    def added_tokens(self, images: Sequence[Pixels]) -> int:
        """The tokens that vLLM adds to a prompt for these images (h, w, 3)."""
        return sum(self.family.added_tokens(self.processor, (image.shape[1], image.shape[0])) for image in images)

    def prepare(self, queries: Sequence[ChatQuery], frames: Sequence[Frames]) -> Prepared:
        """Resize the frames of some queries, each frame once: arrays by identity, and the identities for each query."""
        arrays: dict[str, Pixels] = {}
        names: list[list[str]] = []
        for query, own in zip(queries, frames, strict=True):
            limit = self.processor.pixel_limit(len(own)) if own else None
            names.append([])
            for number, frame in zip(query.frames, own, strict=True):
                size = self.family.size(self.processor, (frame.shape[0], frame.shape[1]), limit)
                name = self._identity(query.video, number, size)
                if name not in arrays:
                    arrays[name] = self._resize(frame, size)
                names[-1].append(name)
        return Prepared(arrays, names)

    def _identity(self, video: Video, number: int, size: Size) -> str:
        """All that the pixels depend on: vLLM takes frames of equal identity as equal, without comparing them."""
        parts = (open_source(video).state(), number, size, self.processor.resize)
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    def _resize(self, frame: Pixels, size: Size) -> Pixels:
        if frame.shape[1::-1] == size:
            return frame
        resample = Image.Resampling(self.processor.processor.resample).name.lower()
        return RESIZERS[self.processor.resize](frame, size, resample)


def vllm_frames(processor: FrameProcessor) -> VllmFrames:
    """The frames of a model whose frame processor this is.

    Raises:
        ModelError: vLLM is not known to answer as the transformers backend does for the model's family.
    """
    name = processor.config.model_type
    family = FAMILIES.get(name)
    if family is None:
        raise ModelError(
            f"backend=vllm: '{name}' is not supported, only {', '.join(FAMILIES)} (docs/backbones.md, 'vLLM'). Set "
            "backend=transformers."
        )
    marked = replace(
        family_of(processor.config), frame_text=lambda tokenizer, config, _: family.mark(tokenizer, config)
    )
    return VllmFrames(processor=replace(processor, family=marked), family=family)


def _internvl_mark(tokenizer: Any, _config: Any) -> str:
    return str(tokenizer.context_image_token)


def _internvl_size(processor: FrameProcessor, _frame: tuple[int, int], max_pixels: int | None) -> Size:
    refuse_max_pixels(processor.config, max_pixels)
    size = processor.processor.size
    return int(size["width"]), int(size["height"])


def _internvl_tokens(processor: FrameProcessor, _size: Size) -> int:
    start_and_end = 2
    return tokens_per_tile(processor.config) - 1 + start_and_end


def _one_tile(_processor: FrameProcessor) -> Mapping[str, Any]:
    """Without this, a frame would be cut into up to thirteen tiles."""
    return {"crop_to_patches": False}


def _qwen_mark(tokenizer: Any, config: Any) -> str:
    ids = [config.vision_start_token_id, config.image_token_id, config.vision_end_token_id]
    return "".join(tokenizer.convert_ids_to_tokens(ids))


def _qwen_size(processor: FrameProcessor, frame: tuple[int, int], max_pixels: int | None) -> Size:
    require_pil(processor.config, processor.resize)
    width, height = resized_frame(processor.processor, (frame[1], frame[0]), max_pixels)
    return int(width), int(height)


def _qwen_tokens(processor: FrameProcessor, size: Size) -> int:
    side = processor.processor.patch_size * processor.processor.merge_size
    return int(size[0] // side * (size[1] // side)) - 1


def _any_size(processor: FrameProcessor) -> Mapping[str, Any]:
    """Without a lower limit: a frame that is as small as `max_pixels` demands would be enlarged."""
    most = pixel_limits(processor.processor, processor.max_pixels)["longest_edge"]
    return {"size": {"shortest_edge": 1, "longest_edge": most}}


_QWEN = VllmFamily(mark=_qwen_mark, size=_qwen_size, added_tokens=_qwen_tokens, options=_any_size)
FAMILIES = {
    "internvl": VllmFamily(mark=_internvl_mark, size=_internvl_size, added_tokens=_internvl_tokens, options=_one_tile),
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN,
}
"""By `model_type`: the families for which equal answers were measured (docs/experiments.md, 'vLLM')."""
