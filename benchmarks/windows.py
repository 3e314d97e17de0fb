"""A sweep of four windows, which embeds each frame once, against four runs with an empty cache each."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from benchmarks.timing import Row, repeats_within
from vaa.cache import AnswerCache
from vaa.data.synthetic import SyntheticDataset
from vaa.engines.base import LocalEngine
from vaa.models.base import Encoder
from vaa.models.transformers.encoder import ClipEncoder
from vaa.pipeline import analyse
from vaa.stages import embeddings
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.window import ConsecutiveWindow
from vaa.tiny import prompts
from vaa.types import EmbedQuery, Floats, Report, ScoreTrack, Video

LENGTHS = (16, 30, 48, 60)


@dataclass(frozen=True)
class Lengths:
    """Embeds all frames of each segment, as CoReVAD does, and scores a segment by its vector's length."""

    scope: ClassVar[Scope] = SEGMENT

    model: Encoder

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        return embeddings.segment_queries(report)

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        values = np.linalg.norm(np.asarray(answers, dtype=np.float64), axis=1)
        return Report(report.video, track=ScoreTrack(values, np.array([segment.at for segment in report.segments])))


def rows() -> list[Row]:
    dataset = SyntheticDataset(
        cache_dir="outputs/cache/synthetic", root=None, split="val", videos=2, seconds=60.0, fps=10.0, size=128
    ).load()
    encoder = ClipEncoder(
        checkpoint=str(prompts.CHECKPOINTS / "clip"), revision=None, dtype="float32", device_map="cpu",
        mean=[0.45] * 3, std=[0.25] * 3, resample="bicubic", batch_size=64, decoder="pyav", stride=1, workers=None,
        resize="pil",
    )  # fmt: skip
    run(dataset.videos, encoder, AnswerCache(None), LENGTHS[0])
    sweeps, separate, n = [], [], 1
    while len(sweeps) < n:
        start, cache, begin = processor_seconds(), AnswerCache(None), time.perf_counter()
        together = [run(dataset.videos, encoder, cache, length) for length in LENGTHS]
        middle = processor_seconds()
        apart = [run(dataset.videos, encoder, AnswerCache(None), length) for length in LENGTHS]
        sweeps.append(middle - start)
        separate.append(processor_seconds() - middle)
        n = repeats_within(time.perf_counter() - begin, most=5)
        assert all(np.allclose(*pair, rtol=0, atol=1e-6) for pair in zip(together, apart, strict=True))
    ratio = statistics.median(separate) / statistics.median(sweeps)
    frames = sum(video.n_frames for video in dataset.videos)
    name = f"windows of {', '.join(map(str, LENGTHS))} frames, all {frames:,} frames embedded (processor time)"
    return [Row(name, "four runs, an empty cache each", f"{ratio:.2f}x", ">= 2.5x", ratio >= 2.5, sweeps, separate)]


def run(videos: Sequence[Video], encoder: ClipEncoder, cache: AnswerCache, length: int) -> Floats:
    """The lengths of all segments' vectors."""
    stages = {"window": ConsecutiveWindow(length=length, n_frames=8), "lengths": Lengths(encoder)}
    result = analyse(videos, {}, stages, EngineWithoutRelease(), cache)
    return np.concatenate([report.track.values for report in result.reports.values() if report.track])


class EngineWithoutRelease(LocalEngine):
    """Loads the model once, so that loading is not part of the time."""

    def release(self, model: object) -> None:
        """Keep it."""


def processor_seconds() -> float:
    """Of this process and of its children that have ended, since other programs use the machine too."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
