"""From score files to all metrics: UCF-Crime's 1.1 and XD-Violence's 2.3 million frames."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from benchmarks.__main__ import SHARED
from benchmarks.timing import Row, ratio
from vaa.data.annotated import AnnotatedDataset
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.process import PROJECT_ROOT
from vaa.stages.read_scores import ReadScores
from vaa.stages.scores import ExpandToFrames, GaussianFilter
from vaa.types import Dataset, Report

SCORES = {
    "UCF-Crime": ("ucf_crime", "refined_scores/videollama3"),
    "XD-Violence": ("xd_violence", "refined_scores/videollama3_7B"),
}
"""Data set -> its folder, and the folder of URF's refined scores in it."""

REFERENCE_METRICS = ("roc_auc", "pr_auc", "threshold_youden", "threshold_f1")
"""What URF's program computes; vaa computes these and four more."""


def rows() -> list[Row]:
    root = SHARED / "recorded" / "urf"
    if not root.is_dir():
        return []
    os.environ.setdefault("TQDM_DISABLE", "1")
    results = []
    for title, (name, scores) in SCORES.items():
        dataset, folder = load_dataset(root / name, name), root / name / scores
        ours, theirs = partial(_metrics, dataset, folder), partial(frame_by_frame, dataset, folder)
        metrics, expected = ours(), theirs()
        values = [metrics[metric] for metric in REFERENCE_METRICS]
        assert np.allclose(values, expected, atol=1e-9), (values, expected)
        row = f"score files to all metrics, {title} ({int(metrics['frames']):,} frames)"
        results.append(ratio(row, "a loop over frames, four numbers (URF's way)", 10, ours, theirs, repeats=3))
    return results


def load_dataset(root: Path, name: str) -> Dataset:
    fields = yaml.safe_load((PROJECT_ROOT / "conf" / "data" / f"{name}.yaml").read_text(encoding="utf-8"))
    fields.pop("_target_")
    return AnnotatedDataset(**{**fields, "root": str(root)}).load()


def _metrics(dataset: Dataset, folder: Path) -> dict[str, float]:
    """URF's post-processing and vaa's metrics."""
    stages = (
        ReadScores(root=str(folder), field="refined", step=1, lowest=0.0, highest=1.0),
        GaussianFilter(sigma=10.0),
        ExpandToFrames(),
    )
    protocol = Protocol(
        name="lavad",
        labels=None,
        end_inclusive=True,
        precision="float64",
        pad=0.0,
        smooth=0.0,
        transform="none",
        metrics={},
    )
    reports = {}
    for video in dataset.videos:
        report = Report(video)
        for stage in stages:
            report = stage(report)
        reports[video.id] = report
    return evaluate(result=RunResult(reports), dataset=dataset, protocol=protocol).metrics


def frame_by_frame(dataset: Dataset, folder: Path) -> tuple[float, ...]:
    """As the URF program counts: a list of all frames' labels and scores, filled one frame at a time."""
    from scipy.ndimage import gaussian_filter1d
    from sklearn.metrics import auc, precision_recall_curve, roc_curve

    labels: list[int] = []
    scores: list[float] = []
    for video in dataset.videos:
        content = json.loads((folder / f"{video.id}.json").read_text())
        smooth = gaussian_filter1d([content[key] for key in sorted(content, key=int)], sigma=10)
        frames: list[float] = []
        for value in smooth:
            for _ in range(16):
                frames.append(float(value))  # noqa: PERF401, as in the URF program
        frames = frames[: video.n_frames]
        while len(frames) < video.n_frames:
            frames.append(0.0)
        spans = dataset.truths[video.id].spans
        for k in range(video.n_frames):
            labels.append(int(any(span.start <= k < span.stop for span in spans)))  # noqa: PERF401
        scores.extend(frames)
    fpr, tpr, roc_thresholds = roc_curve(labels, scores)
    precision, recall, pr_thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-10)
    youden, best = roc_thresholds[np.argmax(tpr - fpr)], pr_thresholds[np.argmax(f1)]
    return float(auc(fpr, tpr)), float(auc(recall, precision)), float(youden), float(best)
