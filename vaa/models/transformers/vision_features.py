"""The output of a model's vision tower for frames, computed once before any prompt is processed."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from vaa.errors import ModelError
from vaa.models.transformers.families import KEPT_TOKENS, VisionInputs

_TILES_PER_PASS = 32
"""So many fit a CPU's cache, and a GPU needs less memory at once."""


@dataclass(frozen=True, eq=False)
class VisionFeatures:
    """The features of a batch's frames, in order.

    Attributes:
        features: The output of the model's `get_image_features`.
        grid: Patches of each frame (time, height, width); None if all frames have the same.
    """

    features: Any
    grid: Any

    def arguments(self, frames: Sequence[int]) -> dict[str, Any]:
        """The model's keyword arguments for the frames of these indices; empty without frames."""
        if not frames:
            return {}
        image = SimpleNamespace(pooler_output=_select(self.features.pooler_output, frames))
        if hasattr(self.features, "deepstack_features"):
            image.deepstack_features = [_select(layer, frames) for layer in self.features.deepstack_features]
        grid = {} if self.grid is None else {"image_grid_thw": self.grid[list(frames)]}
        return {"mm_encoder_outputs": {"image": image}, **grid}


def encode_frames(model: Any, inputs: VisionInputs) -> VisionFeatures:
    """Encode frames with the model's vision tower; frames of one tile each are encoded a few at a time.

    Of frames with compressed tokens only the features of the kept ones are returned.
    """
    if set(inputs.tensors) != {"pixel_values"}:
        tensors = dict(inputs.tensors)
        kept = tensors.pop(KEPT_TOKENS, None)
        features = model.get_image_features(**tensors, return_dict=True)
        if kept is not None:
            masks = kept.split([len(frame) for frame in features.pooler_output])
            features.pooler_output = tuple(f[mask] for f, mask in zip(features.pooler_output, masks, strict=True))
        return VisionFeatures(features, tensors.get("image_grid_thw"))
    import torch

    passes = inputs.tensors["pixel_values"].split(_TILES_PER_PASS)
    outputs = [model.get_image_features(pixel_values=tiles, return_dict=True).pooler_output for tiles in passes]
    return VisionFeatures(SimpleNamespace(pooler_output=torch.cat(outputs)), None)


def check_accepts_features(model: Any) -> None:
    """Refuse a transformers version whose models ignore features computed beforehand.

    Raises:
        ModelError: the model would answer without its frames.
    """
    import transformers

    if "mm_encoder_outputs" not in inspect.signature(type(model.model).forward).parameters:
        raise ModelError(
            f"transformers {transformers.__version__}: {type(model).__name__} would ignore its frames. "
            "Run pip install 'transformers>=5.18'."
        )


def _select(features: Any, frames: Sequence[int]) -> Any:
    """Features are a tensor with one row per frame, or one tensor per frame."""
    if isinstance(features, list | tuple):
        return tuple(features[frame] for frame in frames)
    return features[list(frames)]
