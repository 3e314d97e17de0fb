"""The kinds of VLM that are served, and what differs between them: how a frame becomes visual tokens and text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaa.errors import VaaError
from vaa.types import Pixels
from vaa.video.resize import resize_frames


@dataclass(frozen=True, eq=False)
class VisionInputs:
    """Frames as the vision tower takes them (tensors by name), and how many visual tokens each becomes."""

    inputs: Mapping[str, Any]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Family:
    """How one kind of VLM is shown frames.

    `see` prepares frames, given the model's config, its image processor, `max_pixels` and `resize`; `mark` is the text
    for a frame of so many visual tokens; `between` goes between frames that stand before the text, `after` behind the
    last. `stamp` says a time in seconds as the model was trained to read it, None if it was not. `boxes` is the size
    (width, height) of the space in which the model gives boxes on a frame of a given (width, height), None if it gives
    none. With `typed` the model is told which of the tokens are visual.
    """

    see: Callable[[Any, Any, Sequence[Pixels], int | None, str], VisionInputs]
    mark: Callable[[Any, Any, int], str]
    between: str = ""
    after: str = ""
    stamp: str | None = None
    boxes: Callable[[Any, tuple[int, int], int | None], tuple[float, float]] | None = None
    typed: bool = False


def family(config: Any) -> Family:
    """The family of a checkpoint.

    Raises:
        VaaError: it is of none that is known.
    """
    if config.model_type not in FAMILIES:
        raise VaaError(f"'{config.model_type}' is not a VLM that vaa can show frames to: {', '.join(FAMILIES)}.")
    return FAMILIES[config.model_type]


def tokens_per_image(config: Any) -> int:
    """Visual tokens of one tile of InternVL after pixel shuffle."""
    (height, width), (patch_height, patch_width) = (
        _pair(config.vision_config.image_size),
        _pair(config.vision_config.patch_size),
    )
    return int((height // patch_height) * (width // patch_width) * config.downsample_ratio**2)


def mark_internvl(tokenizer: Any, _config: Any, count: int) -> str:
    """The text of a frame that InternVL reads."""
    return str(tokenizer.start_image_token + tokenizer.context_image_token * count + tokenizer.end_image_token)


def _see_internvl(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: str
) -> VisionInputs:
    """One tile a frame, squashed; the processor would cut a frame into thirteen."""
    import torch
    from PIL import Image

    _fixed(config, max_pixels)
    shades = _shades(processor)
    if shades is None:
        _only_pil(config, resize)
        pixels = processor(images=list(frames), crop_to_patches=False, return_tensors="pt")["pixel_values"]
    else:
        size = int(processor.size["width"]), int(processor.size["height"])
        resample = Image.Resampling(processor.resample).name.lower()
        pixels = torch.from_numpy(resize_frames(frames, size, resample, resize, shades))
    return VisionInputs({"pixel_values": pixels}, (tokens_per_image(config),) * len(frames))


def _shades(processor: Any) -> Any:
    """What becomes of each value of a byte, (3, 256), where nothing else is done to a frame but to resize it with PIL.

    By the processor's own arithmetic: looked up, a frame is the same to the last bit and ready in a third of the time.
    """
    if type(processor).__name__ != "GotOcr2ImageProcessorPil":
        return None
    if not (processor.do_resize and processor.do_rescale and processor.do_normalize):
        return None
    bytes_ = np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 1, 256))
    scaled = processor.rescale(bytes_, processor.rescale_factor)
    return processor.normalize(scaled, processor.image_mean, processor.image_std)[:, 0]


def _see_llava(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: str
) -> VisionInputs:
    """One tile a frame, as the model sees one of several images; a single one would be cut into up to ten."""
    _fixed(config, max_pixels)
    _only_pil(config, resize)
    several = list(frames) if len(frames) > 1 else [frames[0], frames[0]]
    made = processor(images=[several], return_tensors="pt")
    inputs = {name: made[name][: len(frames)] for name in ("pixel_values", "image_sizes")}
    side = _pair(config.vision_config.image_size)[0] // _pair(config.vision_config.patch_size)[0]
    newline = 1
    return VisionInputs({**inputs, "batch_num_images": made["batch_num_images"]}, (side**2 + newline,) * len(frames))


def _see_qwen(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: str
) -> VisionInputs:
    """Every frame at its own size, rounded to whole patches."""
    _only_pil(config, resize)
    return _grid(processor, frames, max_pixels, processor.merge_size)


def _see_videollama(
    config: Any, processor: Any, frames: Sequence[Pixels], max_pixels: int | None, resize: str
) -> VisionInputs:
    """The same with 2x2 patches a token, as VideoLLaMA3 sees a video's frames (a single image's are not merged)."""
    _only_pil(config, resize)
    return _grid(processor, frames, max_pixels, 2)


def _grid(processor: Any, frames: Sequence[Pixels], max_pixels: int | None, merge: int) -> VisionInputs:
    size = _limits(processor, max_pixels, (merge // processor.merge_size) ** 2)
    seen = processor(images=list(frames), merge_size=merge, size=size, return_tensors="pt")
    tokens = seen["image_grid_thw"].prod(-1) // merge**2
    return VisionInputs(dict(seen), tuple(int(count) for count in tokens))


def _mark_qwen(tokenizer: Any, config: Any, count: int) -> str:
    first, last = tokenizer.convert_ids_to_tokens([config.vision_start_token_id, config.vision_end_token_id])
    return str(first + tokenizer.convert_ids_to_tokens(config.image_token_id) * count + last)


def _mark_plain(tokenizer: Any, config: Any, count: int) -> str:
    return str(tokenizer.convert_ids_to_tokens(config.image_token_id) * count)


def _thousandths(_processor: Any, _frame: tuple[int, int], _max_pixels: int | None) -> tuple[float, float]:
    """Whatever the frame's size, its width and height are 1000."""
    return 1000.0, 1000.0


def _resized(processor: Any, frame: tuple[int, int], max_pixels: int | None) -> tuple[float, float]:
    """Pixels of the frame as the vision tower sees it."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    limits = _limits(processor, max_pixels)
    height, width = smart_resize(
        frame[1],
        frame[0],
        factor=processor.patch_size * processor.merge_size,
        min_pixels=limits["shortest_edge"],
        max_pixels=limits["longest_edge"],
    )
    return float(width), float(height)


def _limits(processor: Any, max_pixels: int | None, larger: int = 1) -> dict[str, int]:
    """Fewest and most pixels of a frame, by the processors' names; `larger` tokens than an image's need more pixels."""
    fewest, most = int(processor.size["shortest_edge"]) * larger, max_pixels or int(processor.size["longest_edge"])
    return {"shortest_edge": min(fewest, most), "longest_edge": most}


def _only_pil(config: Any, resize: str) -> None:
    if resize != "pil":
        raise VaaError(
            f"vlm.resize={resize}: frames for '{config.model_type}' are resized by its own processor (pil). For the "
            f"encoder alone: encoder.resize={resize}."
        )


def _fixed(config: Any, max_pixels: int | None) -> None:
    if max_pixels is not None:
        size = "x".join(str(side) for side in _pair(config.vision_config.image_size))
        raise VaaError(f"max_pixels={max_pixels}: every frame is {size} for {config.model_type}; give max_pixels=null.")


def _pair(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))


FAMILIES = {
    "internvl": Family(_see_internvl, mark_internvl, boxes=_thousandths),
    "qwen2_5_vl": Family(_see_qwen, _mark_qwen, boxes=_resized, typed=True),
    "qwen3_vl": Family(_see_qwen, _mark_qwen, stamp="<{:.1f} seconds>", boxes=_thousandths, typed=True),
    "video_llama_3": Family(_see_videollama, _mark_plain, between=",", after="\n", stamp="Time {:.1f}s:"),
    "llava_onevision": Family(_see_llava, _mark_plain),
}
"""By `model_type`; InternVL 2.5, 3 and 3.5 are one."""
