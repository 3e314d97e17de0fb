"""Counting 10 million frames with every protocol that needs scores only: time and memory."""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import Row, ratio
from vaa.evaluation.alarms import Delays, FalseAlarmRate
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.event_f1 import EventF1
from vaa.evaluation.event_rule import EventRule
from vaa.evaluation.macro import MacroAuc
from vaa.evaluation.protocol import Protocol
from vaa.evaluation.video_groups import AnomalousVideos, VideosOfClass
from vaa.pipeline import RunResult
from vaa.types import Dataset, GroundTruth, Report, ScoreTrack, Span, Video

VIDEOS, FRAMES = 800, 12_500  # 10 million frames, as long as 3.6 times XD-Violence
CLASSES = 13
PROTOCOL = Protocol(
    name="lavad",
    labels=None,
    end_inclusive=True,
    precision="float64",
    pad=0.0,
    smooth=0.0,
    transform="none",
    metrics={
        "macro": MacroAuc(),
        "anomalous": AnomalousVideos(),
        "classes": VideosOfClass(),
        "events": EventF1(rule=EventRule(threshold=0.48, vote=True), tious=(0.2, 0.3, 0.4, 0.5)),
        "delays": Delays(rule=EventRule(threshold=0.5, vote=False), thresholds=(0.1, 0.3, 0.7, 0.9)),
        "false_alarms": FalseAlarmRate(threshold=0.5),
    },
)


def rows() -> list[Row]:
    dataset, reports = make_scores(np.random.default_rng(1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours = partial(count, dataset, reports)
    metrics = ours()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert metrics["frames"] == VIDEOS * FRAMES
    row = f"counting 10,000,000 frames, {1 + len(PROTOCOL.metrics)} protocols, at most {memory / 1e6:.1f} GB"
    reference = "scikit-learn's functions, once a protocol"
    assert memory >= before
    return [ratio(row, reference, 1, ours, partial(by_scikit_learn, dataset, reports), repeats=1)]


def make_scores(rng: np.random.Generator) -> tuple[Dataset, dict[str, Report]]:
    """Random scores of segments of 16 frames; half of the videos have two events."""
    videos, truths, reports = [], {}, {}
    at = np.arange(FRAMES)
    for k in range(VIDEOS):
        video = Video(f"v{k}", Path("v"), FRAMES, 25.0)
        starts = [] if k % 2 else sorted(int(each) for each in rng.choice(FRAMES // 500, 2, replace=False) * 500)
        spans = tuple(Span(start, start + int(rng.integers(50, 450)), f"c{k % CLASSES}") for start in starts)
        scores = np.clip(rng.normal(0.3, 0.2, len(at[::16])), 0, 1).repeat(16)[:FRAMES]
        for span in spans:
            scores[span.start // 16 * 16 : span.stop // 16 * 16] += 0.2
        videos.append(video)
        truths[video.id] = GroundTruth(spans, spans[0].label if spans else "Normal")
        reports[video.id] = Report(video, track=ScoreTrack(scores, at))
    return Dataset("random", tuple(videos), truths, ()), reports


def count(dataset: Dataset, reports: dict[str, Report]) -> dict[str, float]:
    return evaluate(result=RunResult(reports), dataset=dataset, protocol=PROTOCOL).metrics


def by_scikit_learn(dataset: Dataset, reports: dict[str, Report]) -> list[Any]:
    """Flat, over anomalous videos and within each class: areas; macro, plain and padded; no events, no delays."""
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

    labels = {video.id: PROTOCOL.frame_labels(video, dataset.truths[video.id].spans) for video in dataset.videos}
    scores = {video: report.track.values for video, report in reports.items() if report.track is not None}

    def areas(videos: list[str]) -> list[float]:
        y, s = np.concatenate([labels[v] for v in videos]), np.concatenate([scores[v] for v in videos])
        precision, recall, _ = precision_recall_curve(y, s)
        return [roc_auc_score(y, s), auc(recall, precision), average_precision_score(y, s)]

    anomalous = [v for v in labels if labels[v].any()]
    by_class = [[v for v in anomalous if dataset.truths[v].label == f"c{k}"] for k in range(CLASSES)]
    macro = [roc_auc_score(labels[v], scores[v]) for v in anomalous]
    padded = [
        np.mean([roc_auc_score([0, *labels[v], 1], np.concatenate([[0], scores[v], [end]])) for v in labels])
        for end in (1, 1e300)
    ]
    return [areas(list(labels)), areas(anomalous), [areas(each) for each in by_class if each], np.mean(macro), padded]
