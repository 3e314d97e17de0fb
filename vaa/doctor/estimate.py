"""How long a run takes: its queries, counted from the data and the stages, times the arithmetic of one query."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from vaa.doctor.machine import matrix_rate
from vaa.stages.base import ModelStage, Transform
from vaa.types import ChooseQuery, Definition, EmbedQuery, GroundTruth, Query, Report, Video

log = logging.getLogger("vaa")

_COUNTED = 20
"""Videos whose queries are counted; for more, those of this many are scaled up."""
_SHARE = 0.3
"""Of the rate of a large matrix product, what whole queries reached: 8.07e9 parameters, 2,158 tokens and their answer
in 0.147 s on one H200 (docs/experiments.md)."""
_ANSWER = "['a fight'] [0.5]"  # every stage that depends on answers goes on with this one


@dataclass(frozen=True, kw_only=True)
class ModelWork:
    """A model's work per query: `parameters` (None for one that is not on this machine) and `tokens`.

    `vector` is the length of an encoder's vectors of frames, which are stored; 0 for other models.
    """

    model: Any
    name: str
    parameters: float | None
    tokens: float
    dtype: str
    on_gpu: bool
    vector: int = 0


def count_queries(
    stages: Mapping[str, Any],
    videos: Sequence[Video],
    truths: Mapping[str, GroundTruth],
    definitions: Sequence[Definition] = (),
) -> list[tuple[Any, float]]:
    """Each model with the number of its queries about all videos, at most, if none is cached; frames for an encoder.

    Equal queries of several stages count once, as they are sent once.
    """
    step = max(1, -(-len(videos) // _COUNTED))
    counted = sorted(videos, key=lambda video: video.n_frames)[step // 2 :: step]
    models: list[Any] = []
    queries: dict[int, set[Any]] = {}
    for video, definition in product(counted, definitions or (None,)):
        report = Report(video, truth=truths.get(video.id), definition=definition)
        for stage in stages.values():
            with suppress(Exception), _no_log():  # with made-up answers a stage may fail
                if isinstance(stage, Transform):
                    report = stage(report)
                if not isinstance(stage, ModelStage):
                    continue
                if stage.model not in models:
                    models.append(stage.model)
                asked = stage.queries(report)
                queries.setdefault(models.index(stage.model), set()).update(*map(_units, asked))
                report = stage.absorb(report, [_made_up(query) for query in asked])
    total = sum(video.n_frames for video in videos)
    scale = total / max(1, sum(video.n_frames for video in counted))
    return [(model, len(queries.get(k, ())) * scale) for k, model in enumerate(models)]


def estimate(
    works: Sequence[ModelWork],
    stages: Mapping[str, Any],
    videos: Sequence[Video],
    truths: Mapping[str, GroundTruth],
    definitions: Sequence[Definition] = (),
) -> Iterator[str]:
    """Lines that state the number of queries and about how long they take on this machine."""
    minutes = sum(video.n_frames / video.fps for video in videos if video.fps > 0) / 60
    yield f"time       {len(videos)} videos, {minutes:.0f} minutes; at most, if no answer is cached:"
    for model, count in count_queries(stages, videos, truths, definitions):
        work = next(work for work in works if work.model == model)
        unit = "frames and texts" if hasattr(model, "embed") else "queries"
        if work.parameters is None:
            yield f"  {work.name}: {count:,.0f} {unit}; their time is not known: it runs elsewhere"
            continue
        operations, rate = 2 * work.parameters * work.tokens, matrix_rate(work.dtype, on_gpu=work.on_gpu)
        seconds = operations / (_SHARE * rate)
        yield (
            f"  {work.name}: {count:,.0f} {unit} x {seconds:.2g} s = about {_duration(count * seconds)}, from "
            f"{work.parameters:.3g} parameters x {work.tokens:,.0f} tokens and {_SHARE:.0%} of the {rate / 1e12:.2g} "
            "TFLOP/s of a matrix product measured here now"
        )
        if work.vector:
            yield f"    their vectors take at most {count * 4 * (work.vector + 1) / 1e9:.2g} GB beside the cache"
    yield f"  an estimate, without decoding of videos; {_SHARE:.0%} is what an 8B model reached on an H200"


@contextmanager
def _no_log() -> Iterator[None]:
    """Log nothing: stages warn of answers that they cannot parse, and made-up ones do not matter."""
    previous, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = previous


def _units(query: Query) -> list[Any]:
    """What a query costs once: itself, or each frame that is embedded."""
    if isinstance(query, EmbedQuery) and query.frames:
        return [(query.video.id, frame) for frame in query.frames]
    return [query]


def _made_up(query: Query) -> Any:
    if isinstance(query, EmbedQuery):
        return np.ones(2) / np.sqrt(2)
    return np.full(len(query.choices), 1 / len(query.choices)) if isinstance(query, ChooseQuery) else _ANSWER


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
