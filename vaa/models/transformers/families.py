"""The supported VLM families and what differs between them: how a frame becomes visual tokens and text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError, ModelError
from vaa.types import ChatQuery, Pixels, frame_seconds
from vaa.video.resize import Resize, resize_frames


@dataclass(frozen=True, eq=False)
class VisionInputs:
    """Frames as the vision tower takes them (tensors by name), and the number of visual tokens of each frame."""

    tensors: Mapping[str, Any]
    tokens: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the models of one family are given frames.

    Attributes:
        prepare: Prepares frames, from the model's config, its image processor, the frames, `max_pixels` and `resize`.
        frame_text: The text of a frame, from the tokenizer, the model's config and the number of visual tokens.
        separator: Text between frames that come before the prompt's text.
        end: Text after the last of these.
        timestamp: Format of a frame's time in seconds; None if the family was not trained with timestamps.
        box_space: Width and height of the space in which boxes are given, from the image processor, the frame's
            (width, height) and `max_pixels`; None if the family was not trained to give boxes.
        needs_token_types: Whether the model must be given which tokens are visual.
        token_side: Pixels along one side of a visual token of a video's frame, from the image processor; None where
            every frame has the same number of tokens.
        compressible: Whether the family was trained with videos whose unchanged visual tokens are dropped.
        penalises_prompt: Whether a checkpoint's repetition penalty counts the tokens of the prompt too, as where the
            original program gives `generate` token ids; where it gives embeddings, only those of the answer count.
    """

    prepare: Callable[[Any, Any, Sequence[Pixels], int | None, Resize], VisionInputs]
    frame_text: Callable[[Any, Any, int], str]
    separator: str = ""
    end: str = ""
    timestamp: str | None = None
    box_space: Callable[[Any, tuple[int, int], int | None], tuple[float, float]] | None = None
    needs_token_types: bool = False
    token_side: Callable[[Any], int] | None = None
    compressible: bool = False
    penalises_prompt: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class FrameProcessor:
    """Prepares frames for a loaded VLM.

    Attributes:
        family: The model's family.
        config: The model's config.
        processor: The checkpoint's image processor.
        max_pixels: Most pixels of a frame; None for the checkpoint's own limit.
        max_visual_tokens: Most visual tokens of a query, before they are compressed; None for any number.
        compress_tokens: Whether tokens are dropped that hardly differ from those of the query's previous frame.
        dtype: The model's precision, in which these are compared.
        timestamps: Whether each frame is preceded by its time.
        resize: The library that resizes frames.
    """

    family: Family
    config: Any
    processor: Any
    max_pixels: int | None
    max_visual_tokens: int | None
    compress_tokens: bool
    dtype: str
    timestamps: bool
    resize: Resize

    def __post_init__(self) -> None:
        name = self.config.model_type
        if self.timestamps and self.family.timestamp is None:
            raise ConfigError(f"timestamps=true: {name} was not trained with timestamps.")
        if self.compress_tokens and not self.family.compressible:
            raise ConfigError(f"compress_tokens=true: {name} was not trained with compressed videos.")
        if self.max_visual_tokens is not None and self.family.token_side is None:
            raise ConfigError(
                f"max_visual_tokens={self.max_visual_tokens}: every frame has as many for {name}; set null."
            )

    def prepare(self, frames: Sequence[Pixels], counts: Sequence[int] | None = None) -> VisionInputs:
        """Turn frames (h, w, 3) into the inputs of the vision tower.

        `counts` are the numbers of frames of each query, None for a single query.
        """
        if self.max_visual_tokens is None and not self.compress_tokens:
            return self._prepare(frames, self.max_pixels)
        ends = np.cumsum([len(frames)] if counts is None else counts).tolist()
        parts = [self._prepare_query(frames[a:b]) for a, b in pairwise([0, *ends]) if b > a]
        return _joined(parts)

    def _prepare(self, frames: Sequence[Pixels], max_pixels: int | None) -> VisionInputs:
        return self.family.prepare(self.config, self.processor, frames, max_pixels, self.resize)

    def _prepare_query(self, frames: Sequence[Pixels]) -> VisionInputs:
        """The frames of one query, which share its visual tokens."""
        inputs = self._prepare(frames, self.pixel_limit(len(frames)))
        return compressed(inputs, self.dtype) if self.compress_tokens else inputs

    def pixel_limit(self, n_frames: int) -> int | None:
        """Most pixels of each of a query's `n_frames` frames; None for the checkpoint's own limit."""
        limits = [] if self.max_pixels is None else [self.max_pixels]
        if self.max_visual_tokens is not None and self.family.token_side is not None:
            limits.append(self.max_visual_tokens * self.family.token_side(self.processor) ** 2 // n_frames)
        return min(limits, default=None)

    def frame_texts(self, tokenizer: Any, query: ChatQuery, tokens: Sequence[int]) -> list[str]:
        """The text of each of a query's frames, given the number of its visual tokens."""
        texts = [self.family.frame_text(tokenizer, self.config, count) for count in tokens]
        if not self.timestamps:
            return texts
        pairs = zip(frame_seconds(query), texts, strict=True)
        return [str(self.family.timestamp).format(time) + text for time, text in pairs]


def compressed(inputs: VisionInputs, dtype: str) -> VisionInputs:
    """Mark the visual tokens to keep of the frames of one query, as `kept_tokens`, a mask over all of them.

    A token is dropped if the pixels of its patches, in the image processor's units, differ by 0.1 / 255 or less on
    average from those of the same token in the frame before; a frame without any other keeps its first (VideoLLaMA3).
    """
    import torch

    n, size = len(inputs.tokens), inputs.tokens[0]
    if any(count != size for count in inputs.tokens):
        raise ModelError(f"compress_tokens=true: the frames of a query differ in size: {inputs.tokens} tokens.")
    pixels = inputs.tensors["pixel_values"].to(getattr(torch, dtype)).view(n, size, -1)
    mask = torch.ones((n, size), dtype=torch.bool)
    mask[1:] = (pixels[1:] - pixels[:-1]).abs().mean(-1) * 255 > _SAME
    mask[:, 0] |= ~mask.any(-1)
    tokens = tuple(int(count) for count in mask.sum(-1))
    return VisionInputs({**inputs.tensors, KEPT_TOKENS: mask.flatten()}, tokens)


KEPT_TOKENS = "kept_tokens"
_SAME = 0.1


def _joined(parts: Sequence[VisionInputs]) -> VisionInputs:
    """The inputs of several queries as one."""
    import torch

    tensors = {name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors}
    return VisionInputs(tensors, tuple(count for part in parts for count in part.tokens))


def family_of(config: Any) -> Family:
    """Return the family of a model's config.

    Raises:
        ModelError: the family is not supported.
    """
    if config.model_type not in FAMILIES:
        raise ModelError(f"'{config.model_type}' is not a supported VLM; supported are {', '.join(FAMILIES)}.")
    return FAMILIES[config.model_type]


def tokens_per_tile(config: Any) -> int:
    """Visual tokens of one tile of InternVL after pixel shuffle."""
    height, width = _pair(config.vision_config.image_size)
    patch_height, patch_width = _pair(config.vision_config.patch_size)
    return int((height // patch_height) * (width // patch_width) * config.downsample_ratio**2)


def internvl_frame_text(tokenizer: Any, _config: Any, count: int) -> str:
    """The text of one frame in an InternVL prompt."""
    return str(tokenizer.start_image_token + tokenizer.context_image_token * count + tokenizer.end_image_token)


def _prepare_internvl(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: Resize
) -> VisionInputs:
    """One tile per frame; the image processor alone would cut a frame into up to thirteen."""
    import torch
    from PIL import Image

    refuse_max_pixels(config, max_pixels)
    table = _byte_table(processor)
    if table is None:
        require_pil(config, resize)
        pixels = processor(images=list(frames), crop_to_patches=False, return_tensors="pt")["pixel_values"]
    else:
        size = int(processor.size["width"]), int(processor.size["height"])
        resample = Image.Resampling(processor.resample).name.lower()
        pixels = torch.from_numpy(resize_frames(frames, size, resample, resize, table))
    return VisionInputs({"pixel_values": pixels}, (tokens_per_tile(config),) * len(frames))


def _byte_table(processor: Any) -> NDArray[np.float32] | None:
    """The normalised value of each byte, (3, 256); None if the processor does more than resize and normalise.

    Computed by the processor itself, so that a frame is equal to its output to the last bit, in a third of the time.
    """
    if type(processor).__name__ != "GotOcr2ImageProcessorPil":
        return None
    if not (processor.do_resize and processor.do_rescale and processor.do_normalize):
        return None
    all_bytes = np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 1, 256))
    scaled = processor.rescale(all_bytes, processor.rescale_factor)
    table: NDArray[np.float32] = processor.normalize(scaled, processor.image_mean, processor.image_std)[:, 0]
    return table


def _prepare_llava(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: Resize
) -> VisionInputs:
    """One tile per frame, as the model is given several images; a single image would be cut into up to ten."""
    refuse_max_pixels(config, max_pixels)
    require_pil(config, resize)
    several = list(frames) if len(frames) > 1 else [frames[0], frames[0]]
    outputs = processor(images=[several], return_tensors="pt")
    tensors = {name: outputs[name][: len(frames)] for name in ("pixel_values", "image_sizes")}
    side = _pair(config.vision_config.image_size)[0] // _pair(config.vision_config.patch_size)[0]
    newline = 1
    tensors["batch_num_images"] = outputs["batch_num_images"]
    return VisionInputs(tensors, (side**2 + newline,) * len(frames))


def _prepare_qwen(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: Resize
) -> VisionInputs:
    """Each frame at its own size, rounded to whole patches."""
    require_pil(config, resize)
    return _prepare_patches(processor, frames, max_pixels, processor.merge_size)


def _prepare_videollama(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: Resize
) -> VisionInputs:
    """Like Qwen, with 2 x 2 patches per token, as VideoLLaMA3 merges a video's frames (but not a single image)."""
    require_pil(config, resize)
    return _prepare_patches(processor, frames, max_pixels, _VIDEO_MERGE)


_VIDEO_MERGE = 2


def _qwen_token_side(processor: Any) -> int:
    return int(processor.patch_size * processor.merge_size)


def _videollama_token_side(processor: Any) -> int:
    return int(processor.patch_size * _VIDEO_MERGE)


def _prepare_patches(processor: Any, frames: Sequence[Pixels], max_pixels: int | None, merge: int) -> VisionInputs:
    size = pixel_limits(processor, max_pixels, (merge // processor.merge_size) ** 2)
    outputs = processor(images=list(frames), merge_size=merge, size=size, return_tensors="pt")
    tokens = outputs["image_grid_thw"].prod(-1) // merge**2
    return VisionInputs(dict(outputs), tuple(int(count) for count in tokens))


def _qwen_frame_text(tokenizer: Any, config: Any, count: int) -> str:
    first, last = tokenizer.convert_ids_to_tokens([config.vision_start_token_id, config.vision_end_token_id])
    return str(first + tokenizer.convert_ids_to_tokens(config.image_token_id) * count + last)


def _plain_frame_text(tokenizer: Any, config: Any, count: int) -> str:
    return str(tokenizer.convert_ids_to_tokens(config.image_token_id) * count)


def _thousand_by_thousand(_processor: Any, _frame: tuple[int, int], _max_pixels: int | None) -> tuple[float, float]:
    return 1000.0, 1000.0


def resized_frame(processor: Any, frame: tuple[int, int], max_pixels: int | None) -> tuple[float, float]:
    """The size of the frame as the vision tower is given it."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    limits = pixel_limits(processor, max_pixels)
    height, width = smart_resize(
        frame[1],
        frame[0],
        factor=processor.patch_size * processor.merge_size,
        min_pixels=limits["shortest_edge"],
        max_pixels=limits["longest_edge"],
    )
    return float(width), float(height)


def pixel_limits(processor: Any, max_pixels: int | None, factor: int = 1) -> dict[str, int]:
    """Fewest and most pixels of a frame, by the processors' names; `factor`: pixels per token, relative to images."""
    fewest, most = int(processor.size["shortest_edge"]) * factor, max_pixels or int(processor.size["longest_edge"])
    return {"shortest_edge": min(fewest, most), "longest_edge": most}


def require_pil(config: Any, resize: Resize) -> None:
    """Check that frames are resized by PIL.

    Raises:
        ConfigError: by another library.
    """
    if resize != "pil":
        raise ConfigError(
            f"vlm.resize={resize}: frames for '{config.model_type}' are resized by its own image processor, which uses "
            f"PIL. Set encoder.resize={resize} to change the encoder only."
        )


def refuse_max_pixels(config: Any, max_pixels: int | None) -> None:
    """Check that a family with one size of frame is given no limit.

    Raises:
        ConfigError: it is.
    """
    if max_pixels is not None:
        size = "x".join(str(side) for side in _pair(config.vision_config.image_size))
        raise ConfigError(
            f"max_pixels={max_pixels}: every frame is {size} for {config.model_type}; set max_pixels=null."
        )


def _pair(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))


FAMILIES = {
    "internvl": Family(prepare=_prepare_internvl, frame_text=internvl_frame_text, box_space=_thousand_by_thousand),
    "qwen2_5_vl": Family(
        prepare=_prepare_qwen,
        frame_text=_qwen_frame_text,
        box_space=resized_frame,
        needs_token_types=True,
        token_side=_qwen_token_side,
    ),
    "qwen3_vl": Family(
        prepare=_prepare_qwen,
        frame_text=_qwen_frame_text,
        timestamp="<{:.1f} seconds>",
        box_space=_thousand_by_thousand,
        needs_token_types=True,
        token_side=_qwen_token_side,
    ),
    "video_llama_3": Family(
        prepare=_prepare_videollama,
        frame_text=_plain_frame_text,
        separator=",",
        end="\n",
        timestamp="Time {:.1f}s:",
        token_side=_videollama_token_side,
        compressible=True,
        penalises_prompt=False,
    ),
    "llava_onevision": Family(prepare=_prepare_llava, frame_text=_plain_frame_text),
}
"""By `model_type`; InternVL 2.5, 3 and 3.5 share one."""
