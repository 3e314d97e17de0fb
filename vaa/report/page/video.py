"""The page's data of one video: what each stage changed, as tracks, texts and boxes, and the ground truth."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from vaa.data.masks import outlines
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.protocol import intervals
from vaa.report.report_file import changed_fields
from vaa.types import Report, ScoreTrack, Video

_FACTS = ("tags", "gated", "summary", "suspicious_window", "judgement")
_RESOLUTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_MAX_CHANGES = 1500


def video_data(evaluation: Evaluation, video: str) -> dict[str, Any]:
    """The content of a video's data file; each text is written once, stages refer to it by its number."""
    report, truth, labels = evaluation.reports[video], evaluation.truths.get(video), evaluation.labels.get(video)
    texts = {"": 0}
    stages, before, track = [], Report(report.video), None
    for name, after in evaluation.history[video].items():
        stage = {"name": name, **_stage(before, after, texts)}
        if stage.get("track") == track:  # no visible change
            stage.pop("track", None)
        track = stage.get("track", track)
        stages.append(stage)
        before = after
    return {
        "id": report.video.id,
        "frames": report.video.n_frames,
        "fps": report.video.fps or 25.0,
        **_times(report.video),
        "labels": None if labels is None else intervals(labels),
        "class": truth.label if truth else "",
        "reference": truth.text if truth else "",
        "annotated": [[b.frame, *b.xyxy] for b in truth.boxes or outlines(truth, report.video.fps)] if truth else [],
        "segments": [[segment.start, segment.stop, segment.at] for segment in report.segments],
        "stages": stages,
        "definitions": [
            {"name": each.name, "track": track_changes(each.track, report.video.n_frames)}
            for each in (report.definition_tracks if len(report.definition_tracks) > 1 else ())
        ],
        "texts": list(texts),
    }


def _times(video: Video) -> dict[str, list[float]]:
    """The times of the frames and of the video's end, where the rate varies."""
    return {} if video.times is None else {"times": [*video.times.values.tolist(), video.end(video.n_frames)]}


def _stage(before: Report, after: Report, texts: dict[str, int]) -> dict[str, Any]:
    changed, stage = changed_fields(before, after), dict[str, Any]()
    if changed.get("track"):
        stage["track"] = track_changes(changed["track"], after.video.n_frames)
    if changed.get("responses"):
        stage["texts"] = [texts.setdefault(response.text, len(texts)) for response in after.responses]
        stage["descriptions"] = [texts.setdefault(response.description, len(texts)) for response in after.responses]
        stage["scores"] = [_finite(response.score) for response in after.responses]
    if changed.get("boxes") or changed.get("located_frames"):
        boxes = changed.get("boxes") or ()
        stage["boxes"] = [[box.frame, *box.xyxy, _finite(box.score)] for box in boxes]
        stage["located_frames"] = list(changed.get("located_frames") or ())
    facts = {name: changed[name] for name in _FACTS if changed.get(name) not in (None, "")}
    return stage | {name: _fact(value) for name, value in facts.items()}


def track_changes(track: ScoreTrack, n_frames: int) -> dict[str, Any]:
    """A track as the page draws it: the frames `at` which it changes and the values `to` which, up to frame `stop`.

    Values are rounded to the finest resolution (0.001 to 0.05) that leaves at most 1,500 changes.
    """
    starts, values = track.starts, track.values
    stop = n_frames if len(starts) < 2 else min(n_frames, int(2 * starts[-1] - starts[-2]))
    chosen: list[int] = []
    for resolution in _RESOLUTIONS:
        known = np.isfinite(values)
        level = np.where(known, np.round(np.where(known, values, 0) / resolution), np.inf)
        chosen = np.flatnonzero(np.concatenate([[True], level[1:] != level[:-1]])[: len(level)]).tolist()
        if len(chosen) <= _MAX_CHANGES:
            break
    rounded = np.round(level[chosen] * resolution, 3).tolist()
    to = [value if finite else None for value, finite in zip(rounded, known[chosen].tolist(), strict=True)]
    return {"at": starts[chosen].tolist(), "to": to, "stop": stop}


def _fact(value: Any) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return {name: _finite(item) if isinstance(item, float) else item for name, item in asdict(value).items()}


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
