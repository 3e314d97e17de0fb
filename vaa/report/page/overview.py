"""The page's first screen: the run's numbers, curves, classes and alerts, and a row for each video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

import numpy as np

from vaa import overrides
from vaa.errors import DataError
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.protocol import intervals
from vaa.evaluation.roc import thin_curve
from vaa.evaluation.run_metrics import incomplete
from vaa.report.runs import Run
from vaa.types import Floats

_MAX_POINTS = 400  # of a curve
_MAX_ALERTS = 200
_SPARKLINE_PARTS = 80
_NOT_SHOWN = ("run", "method", "data", "engine", "protocol")
"""Config groups that are in the title or the text, or that no user chooses."""
_PART_OF_METHOD = "prompt@"
"""Further prompts of a method; one that a user chooses is among the overrides."""


def run_data(
    run: Run, evaluation: Evaluation, rows: Sequence[Mapping[str, Any]], alerts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The content of `run.js`; `alerts` is that of `alerts.json`."""
    choices, given = _composition(run)
    rule = {name: value for name, value in (alerts or {}).items() if name != "alerts"}
    alert_list = (alerts or {}).get("alerts", [])
    return {
        "title": f"{choices.get('method', 'vaa')} on {evaluation.data}",
        "folder": run.folder.resolve().name,
        "choices": _shown_choices(run, choices),
        "overrides": given,
        "data": evaluation.data,
        "protocol": run.truth["protocol"],
        "notices": [*_incomplete(run), *run.notices],
        "failures": [
            {"video": failure.video, "stage": failure.stage, "reason": failure.reason} for failure in run.failures
        ],
        "metrics": run.metrics,
        "counts": [name for name, value in run.metrics.items() if isinstance(value, int)],
        "curves": _curves(evaluation),
        "classes": _classes(evaluation),
        "alerts": alert_list[:_MAX_ALERTS],
        "alert_rule": {**rule, "number": len(alert_list)} if alerts else None,
        "rows": rows,
    }


def video_row(evaluation: Evaluation, video: str, alerts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of a video in the table, with its `alerts` of `alerts.json`; fields that are not known are absent."""
    about = evaluation.reports[video].video
    scores, labels = evaluation.video_scores(video), evaluation.labels.get(video)
    row: dict[str, Any] = {
        "id": video,
        "seconds": round(about.end(about.n_frames), 2),
        "own": [
            [alert[name] for name in ("start_seconds", "stop_seconds", "highest", "peak_seconds")] for alert in alerts
        ],
        "class": evaluation.label(video) or "",
    }
    if labels is not None:
        row["labels"] = intervals(labels)
        row["frames"] = about.n_frames
        row["events"] = _events(evaluation, video)
    if scores is not None and len(scores):
        row["highest"] = round(float(scores.max()), 4)
        row["contrast"] = round(float(scores.max() - np.median(scores)), 4)
        row["sparkline"] = sparkline(scores)
        if labels is not None:
            row["error"] = round(evaluation.error(video), 4)
    return row


def _events(evaluation: Evaluation, video: str) -> list[tuple[float, float, str]]:
    """The labelled intervals of a video, in seconds, with the class of the annotation that each begins with."""
    about, truth = evaluation.reports[video].video, evaluation.truths.get(video)
    spans = sorted(truth.spans, key=lambda span: span.start) if truth else []
    events = []
    for start, stop in intervals(evaluation.labels[video]):
        names = (span.label for span in spans if span.start < stop and span.stop > start and span.label)
        name = next(names, evaluation.label(video) or "")
        events.append((round(about.seconds(start), 6), round(about.end(stop), 6), name))
    return events


def sparkline(scores: Floats) -> list[int]:
    """The highest score, in hundredths, of each of up to 80 equal parts of a video."""
    parts = min(_SPARKLINE_PARTS, len(scores))
    edges = np.linspace(0, len(scores), parts, endpoint=False).astype(int)
    highest = np.maximum.reduceat(scores.astype(np.float64), edges) if parts else np.array([])
    return [round(100 * float(value)) for value in np.clip(np.nan_to_num(highest), 0, 1)]


def _composition(run: Run) -> tuple[dict[str, str], list[str]]:
    """The run's choices and overrides; empty in a folder without Hydra's own files."""
    try:
        return run.choices, run.overrides
    except DataError:
        return {}, []


def _shown_choices(run: Run, choices: Mapping[str, str]) -> dict[str, str]:
    """The choices without those that a reader knows, and those that no stage uses, such as `watch`'s encoder."""
    shown = {
        group: name
        for group, name in choices.items()
        if group not in _NOT_SHOWN and name.lower() not in ("none", "null") and not group.startswith(_PART_OF_METHOD)
    }
    keys = {group: group.rpartition("@")[2] for group in shown}
    with suppress(DataError):  # where the config is missing, all are shown
        unused = overrides.unused(run.config, list(keys.values()), used={"run"})
        return {group: name for group, name in shown.items() if keys[group] not in unused}
    return shown


def _incomplete(run: Run) -> list[str]:
    """Why the run is incomplete; empty where its limits are not known."""
    try:
        max_unparsed, max_failed = (float(run.config[name]) for name in ("max_unparsed", "max_failed"))
    except (DataError, LookupError, TypeError, ValueError):
        return []
    return [str(error) for error in incomplete(run.metrics, max_unparsed=max_unparsed, max_failed=max_failed)]


def _classes(evaluation: Evaluation) -> list[tuple[str, float, int]]:
    """Each class, its ROC AUC, and how many anomalous videos it has."""
    return [(c.name, round(c.roc_auc, 4), c.videos) for c in evaluation.classes if isfinite(c.roc_auc)]


def _curves(evaluation: Evaluation) -> dict[str, Any] | None:
    curves = evaluation.curves
    if curves is None:
        return None
    share = evaluation.metrics["anomalous_share"]
    return {"roc": _points(curves.fpr, curves.tpr), "pr": _points(curves.recall, curves.precision), "share": share}


def _points(x: Floats, y: Floats) -> list[list[float]]:
    return [[round(float(value), 4) for value in axis] for axis in thin_curve(x, y, _MAX_POINTS)]
