"""From score files to all metrics: UCF-Crime's 1.1 and XD-Violence's 2.3 million frames."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from benchmarks.__main__ import SHARED
from benchmarks.timing import Row, ratio
from vaa.data.annotated import AnnotatedDataset
from vaa.evaluation.protocol import Protocol
from vaa.stages.read_scores import ReadScores
from vaa.stages.scores import ExpandToFrames, GaussianFilter
from vaa.types import Report

DATA = {
    "UCF-Crime": ("ucf_crime", "refined_scores/videollama3"),
    "XD-Violence": ("xd_violence", "refined_scores/videollama3_7B"),
}


COUNTED = ("roc_auc", "pr_auc", "threshold_youden", "threshold_f1")
"""What URF's program counts; we count these and four more."""


def rows() -> list[Row]:
    root = SHARED / "recorded" / "urf"
    if not root.is_dir():
        return []
    found = []
    for name, (folder, scores) in DATA.items():
        dataset = _catalogue(root / folder, folder)
        stages = (ReadScores(root=str(root / folder / scores)), GaussianFilter(sigma=10.0), ExpandToFrames())
        protocol = Protocol(name="lavad", labels=None, end_inclusive=True, precision="float64", pad=0.0)

        def ours(dataset=dataset, stages=stages, protocol=protocol) -> dict[str, float]:  # type: ignore[no-untyped-def]
            reports = {}
            for video in dataset.videos:
                report = Report(video)
                for stage in stages:
                    report = stage(report)
                reports[video.id] = report
            return protocol.evaluate(dataset, reports)

        def theirs(dataset=dataset, folder=root / folder / scores) -> tuple[float, ...]:  # type: ignore[no-untyped-def]
            return _frame_by_frame(dataset, folder)

        numbers = ours()
        expected = theirs()
        assert np.allclose([numbers[name] for name in COUNTED], expected, atol=1e-9), (numbers, expected)
        what = f"score files to all metrics, {name} ({int(numbers['frames']):,} frames)"
        found.append(ratio(what, "a loop over frames, four numbers (URF's way)", 10, ours, theirs, repeats=3))
    return found


def _catalogue(root: Path, name: str):  # type: ignore[no-untyped-def]
    fields = {"root": str(root), "name": name}
    known = AnnotatedDataset.__dataclass_fields__
    os.environ.setdefault("TQDM_DISABLE", "1")
    given = {field: fields[field] for field in known if field in fields}
    return AnnotatedDataset(**_defaults(name) | given).load()


def _defaults(name: str) -> dict[str, object]:
    import yaml

    held = yaml.safe_load((Path(__file__).parents[1] / "conf" / "data" / f"{name}.yaml").read_text())
    held.pop("_target_")
    return {key: ("decord" if value == "${reader}" else value) for key, value in held.items()}


def _frame_by_frame(dataset, folder: Path) -> tuple[float, ...]:  # type: ignore[no-untyped-def]
    """As the URF program counts: a list of all frames' labels and scores, filled one frame at a time."""
    from scipy.ndimage import gaussian_filter1d
    from sklearn.metrics import auc, precision_recall_curve, roc_curve

    labels: list[int] = []
    scores: list[float] = []
    for video in dataset.videos:
        held = json.loads((folder / f"{video.id}.json").read_text())
        smooth = gaussian_filter1d([held[key] for key in sorted(held, key=int)], sigma=10)
        frames: list[float] = []
        for value in smooth:
            for _ in range(16):
                frames.append(float(value))  # noqa: PERF401, that is their way
        frames = frames[: video.n_frames]
        while len(frames) < video.n_frames:
            frames.append(0.0)
        spans = dataset.truths[video.id].spans
        for k in range(video.n_frames):
            labels.append(int(any(span.start <= k <= span.end for span in spans)))  # noqa: PERF401
        scores.extend(frames)
    false_alarms, hits, by_hits = roc_curve(labels, scores)
    precision, recall, by_recall = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-10)
    youden, best = by_hits[np.argmax(hits - false_alarms)], by_recall[np.argmax(f1)]
    return float(auc(false_alarms, hits)), float(auc(recall, precision)), float(youden), float(best)
