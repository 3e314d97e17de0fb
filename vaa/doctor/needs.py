"""What the stages of a run ask of which model, and the memory that takes: an estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaa.doctor.weights import CheckpointInfo, weigh
from vaa.stages.base import ModelStage, Transform
from vaa.types import Query, Report, Video

_FRAME = 256  # visual tokens of a frame where the config does not say


@dataclass(frozen=True)
class Need:
    """A model of the run, the stages that ask it (their places in the order), and the largest question found."""

    model: Any
    names: tuple[str, ...]
    places: tuple[int, ...]
    weights: CheckpointInfo | None
    frames: int
    tokens: int

    def memory(self, quantization: str | None = None, batch_size: int | None = None) -> float | None:
        """Bytes as composed, or with another quantization or batch: weights, keys and values, what passes through."""
        if self.weights is None:
            return 0.0
        dtype, batch = getattr(self.model, "dtype", "float32"), batch_size or int(getattr(self.model, "batch_size", 1))
        held = self.weights.bytes(dtype, quantization or str(getattr(self.model, "quantization", "none")))
        if held is None:
            return None
        tokens = batch * (self.frames * (self.weights.shape.tokens or _FRAME) + self.tokens)
        if not self.weights.shape.layers:
            return held * 1.2
        return held + tokens * self.weights.per_token(dtype) + self.weights.passing(dtype, tokens, batch * self.frames)


def needs(stages: Mapping[str, Any]) -> Iterator[Need]:
    """Each different model once, with the largest question that its stages put to a minute of video."""
    report = Report(Video("doctor", Path("doctor.mp4"), 1800, 30.0))
    found: dict[int, tuple[Any, list[str], list[int], list[Query]]] = {}
    models: list[Any] = []
    for place, (name, stage) in enumerate(stages.items()):
        if not isinstance(stage, ModelStage):
            with suppress(Exception):  # what came before was not really asked, so later stages may find too little
                report = stage(report) if isinstance(stage, Transform) else report
            continue
        if stage.model not in models:
            models.append(stage.model)
        entry = found.setdefault(models.index(stage.model), (stage.model, [], [], []))
        entry[1].append(name)
        entry[2].append(place)
        with suppress(Exception):
            entry[3].extend(stage.queries(report))
    for model, names, places, queries in found.values():
        weights = None
        if hasattr(model, "checkpoint"):
            sees = type(model).__name__ == "TransformersVLM"
            weights = weigh(model.checkpoint, model.revision, sees=sees)
        frames = max((len(query.frames) for query in queries), default=1)
        tokens = max(
            (len(q.text + getattr(q, "system", "")) // 3 + getattr(q, "max_new_tokens", 0) for q in queries),
            default=512,
        )
        if not hasattr(model, "quantization"):  # an encoder: its batch is of single frames, or texts
            frames, tokens = 1, 77
        yield Need(model, tuple(names), tuple(places), weights, frames, tokens)
