"""A run at a glance: its numbers, curves and classes, and a row for each video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from vaa.errors import VaaError
from vaa.evaluation.curves import curves, thin
from vaa.evaluation.detection import Labels, class_auc, class_names
from vaa.evaluation.metrics import lacking
from vaa.evaluation.ranking import roc_auc
from vaa.report.page.tracks import spans, spark
from vaa.report.runs import Run
from vaa.types import Floats

_POINTS = 400
_SHOWN_ALERTS = 200


class Glance:
    """What the first screen shows; videos are added one by one, so that one report at a time is in memory."""

    def __init__(self, run: Run, warned: Mapping[str, Any] | None) -> None:
        self.run = run
        self.warned = warned
        self.rows: list[dict[str, Any]] = []
        self._labels: dict[str, Labels] = {}
        self._scores: dict[str, Floats] = {}
        self._alerts: dict[str, list[Mapping[str, Any]]] = {}
        for alert in (warned or {}).get("alerts", []):
            self._alerts.setdefault(alert["video"], []).append(alert)

    def alerts(self, video: str) -> Sequence[Mapping[str, Any]]:
        """Those of one video, in time."""
        return sorted(self._alerts.get(video, []), key=lambda alert: alert["start"])

    def add(self, video: str, report: Mapping[str, Any], scores: Floats | None, labels: Labels | None) -> None:
        """Make the row of a video."""
        about = report["video"]
        row = {
            "id": video,
            "seconds": round(about["n_frames"] / (about["fps"] or 25.0), 2),
            "alerts": len(self._alerts.get(video, [])),
            "class": self.run.truth["videos"].get(video, {}).get("class", ""),
        }
        if labels is not None:
            row["labels"] = spans(labels)
            row["frames"] = about["n_frames"]
        if scores is not None and len(scores):
            row["highest"] = round(float(scores.max()), 4)
            row["contrast"] = round(float(scores.max() - np.median(scores)), 4)
            row["spark"] = spark(scores)
            if labels is not None:
                row["error"] = round(error(labels, scores), 4)
                self._labels[video], self._scores[video] = labels, scores
        self.rows.append(row)

    def whole(self) -> dict[str, Any]:
        """The content of `run.js`."""
        run, warned, asked = self.run, dict(self.warned or {}), self._asked()
        return {
            "title": f"{asked['choices'].get('method', 'vaa')} on {run.truth['data']}",
            "folder": run.folder.resolve().name,
            **asked,
            "data": run.truth["data"],
            "protocol": run.truth["protocol"],
            "notices": [*self._lacking(), *run.notices],
            "failures": run.failures,
            "metrics": run.metrics,
            "curves": self._curves(),
            "classes": self._classes(),
            "alerts": warned.pop("alerts", [])[:_SHOWN_ALERTS],
            "alerting": {**warned, "number": sum(map(len, self._alerts.values()))} if self.warned else None,
            "rows": self.rows,
        }

    def _asked(self) -> dict[str, Any]:
        """What was chosen and asked for; empty in a folder without hydra's own files."""
        try:
            return {"choices": self.run.choices, "overrides": self.run.overrides}
        except VaaError:
            return {"choices": {}, "overrides": []}

    def _lacking(self) -> list[str]:
        """Why the run is not whole; nothing where its limits are not known."""
        try:
            limits = [float(self.run.config[name]) for name in ("max_unparsed", "max_failed")]
        except (VaaError, LookupError, TypeError, ValueError):
            return []
        return [reason for reason, _ in lacking(self.run.metrics, *limits)]

    def _classes(self) -> list[tuple[str, float, int]]:
        """Each class, its ROC AUC, and how many anomalous videos it has."""
        classes = {video: self.run.truth["videos"][video]["class"] for video in self._labels}
        aucs = class_auc(list(self._labels.values()), list(self._scores.values()), list(classes.values()))
        own = [name for video in classes if self._labels[video].any() for name in class_names(classes[video])]
        return [(name, round(auc, 4), own.count(name)) for name, auc in aucs.items() if isfinite(auc)]

    def _curves(self) -> dict[str, Any] | None:
        found = curves(list(self._labels.values()), list(self._scores.values()))
        if found is None:
            return None
        roc, pr = _points(found.false_alarms, found.hits), _points(found.recall, found.precision)
        return {"roc": roc, "pr": pr, "share": float(np.concatenate(list(self._labels.values())).mean())}


def error(labels: Labels, scores: Floats) -> float:
    """How wrong the scores of a video are.

    1 - the AUC within the video; of a normal video the highest score, of one that is anomalous throughout 1 - the
    highest score.
    """
    if labels.any() and not labels.all():
        return 1 - roc_auc(labels, scores)
    highest = float(scores.max())
    return 1 - highest if labels.any() else highest


def _points(x: Floats, y: Floats) -> list[list[float]]:
    return [[round(float(v), 4) for v in axis] for axis in thin(x, y, _POINTS)]
