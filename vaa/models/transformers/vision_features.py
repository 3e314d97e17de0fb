"""What a model's eye makes of frames, before any prompt is read."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from vaa.errors import VaaError
from vaa.models.transformers.families import VisionInputs

_TILES = 32


@dataclass(frozen=True, eq=False)
class VisionFeatures:
    """The features of frames, one after another: each prompt is given those of its own."""

    features: Any
    grid: Any
    """Patches of each frame (time, height, width), None where all have as many."""

    def of(self, frames: Sequence[int]) -> dict[str, Any]:
        """The arguments by which a model is given these frames; none without frames."""
        if not frames:
            return {}
        image = SimpleNamespace(pooler_output=_some(self.features.pooler_output, frames))
        if hasattr(self.features, "deepstack_features"):
            image.deepstack_features = [_some(layer, frames) for layer in self.features.deepstack_features]
        grid = {} if self.grid is None else {"image_grid_thw": self.grid[list(frames)]}
        return {"mm_encoder_outputs": {"image": image}, **grid}


def encode_frames(model: Any, seen: VisionInputs) -> VisionFeatures:
    """Encode frames: a few at a time where each is one tile of the same size.

    What a CPU works at stays in its cache then, and a GPU holds less at once.
    """
    if set(seen.inputs) != {"pixel_values"}:
        return VisionFeatures(
            model.get_image_features(**seen.inputs, return_dict=True), seen.inputs.get("image_grid_thw")
        )
    import torch

    pieces = seen.inputs["pixel_values"].split(_TILES)
    found = [model.get_image_features(pixel_values=piece, return_dict=True).pooler_output for piece in pieces]
    return VisionFeatures(SimpleNamespace(pooler_output=torch.cat(found)), None)


def check(model: Any) -> None:
    """Refuse a model of a library that does not know frames encoded beforehand, and would answer without them.

    Raises:
        VaaError: it says which to install.
    """
    import transformers

    if "mm_encoder_outputs" not in inspect.signature(type(model.model).forward).parameters:
        raise VaaError(
            f"transformers {transformers.__version__} would not show {type(model).__name__} its frames: "
            "pip install 'transformers>=5.18'."
        )


def _some(features: Any, frames: Sequence[int]) -> Any:
    """As they are held: a tensor with a row a frame, or a tensor for each frame."""
    if isinstance(features, list | tuple):
        return tuple(features[frame] for frame in frames)
    return features[list(frames)]
