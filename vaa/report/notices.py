"""What a reader of any number of this run must know first."""

from __future__ import annotations

from collections.abc import Iterable

from vaa.stages.base import ModelStage, Stage

_HOME = "vaa/tiny/checkpoints"


def notices(stages: Iterable[Stage], data: str) -> list[str]:
    """Sentences for the log, W&B and the report; empty where the numbers can stand alone."""
    asked = {getattr(stage.model, "checkpoint", "") for stage in stages if isinstance(stage, ModelStage)}
    tiny = sorted(name for name in asked if _HOME in name)
    if not tiny or data == "synthetic":
        return []
    return [
        f"The built-in tiny model ({', '.join(tiny)}) was used on '{data}'. It has seen nothing but this project's "
        "synthetic world: what it says of other videos means nothing. Choose a real one, such as vlm=internvl "
        "encoder=clip_vit_b16."
    ]
