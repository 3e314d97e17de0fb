"""The table of segments: what was said of each and how it was scored, at every stage that changed either."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vaa.evaluation.evaluation import Evaluation
from vaa.types import Report


def rows(found: Evaluation, most: int) -> tuple[list[dict[str, Any]], int]:
    """At most `most` rows, of the videos most worth a look; and how many segments there are.

    `STAGE text` and `STAGE score` are there for each stage that changed some, empty where it left a segment as it was.
    """
    reports = found.result.reports
    told: list[dict[str, Any]] = []
    for video in found.ranking:
        if video in reports and len(told) < most:
            told += _of(found, video)[: most - len(told)]
    changing = [column for name in _stages(found) for column in (f"{name} text", f"{name} score")]
    present = {column for row in told for column in row}
    order = ["video", "class", "frame", "start", "stop", "second", "anomalous_share", "text", "score"]
    kept = [*order, *(column for column in changing if column in present)]
    return [{column: row.get(column) for column in kept} for row in told], sum(
        len(report.segments) for report in reports.values()
    )


def _stages(found: Evaluation) -> list[str]:
    return list(dict.fromkeys(name for history in found.result.history.values() for name in history))


def _of(found: Evaluation, video: str) -> list[dict[str, Any]]:
    """The rows of a video's segments."""
    report, labels = found.result.reports[video], found.labels.get(video)
    texts, scores = _texts(report), _scores(report)
    told: list[dict[str, Any]] = [
        {
            "video": video,
            "class": found.label(video),
            "frame": segment.at,
            "start": segment.start,
            "stop": segment.stop,
            "second": round(segment.at / report.video.fps, 2) if report.video.fps else None,
            "anomalous_share": None if labels is None else float(labels[segment.start : segment.stop].mean()),
            "text": text,
            "score": score,
        }
        for segment, text, score in zip(report.segments, texts, scores, strict=True)
    ]
    said: list[str | None] = [None] * len(told)
    held: list[float | None] = [None] * len(told)
    for name, after in found.result.history[video].items():
        if not after.segments:
            continue
        texts, scores = _texts(after), _scores(after)
        for row, text, old_text, score, old_score in zip(told, texts, said, scores, held, strict=True):
            row |= {f"{name} text": text} if text != old_text else {}
            row |= {f"{name} score": score} if score != old_score else {}
        said, held = texts, scores
    return told


def _texts(report: Report) -> list[str | None]:
    """What is said of each segment: the description, or the whole answer where none could be read in it."""
    said = [response.description or response.text or None for response in report.responses]
    return said if len(said) == len(report.segments) else [None] * len(report.segments)


def _scores(report: Report) -> list[float | None]:
    """The score of each segment: the track's at its frame, the response's before there is one; None for no number."""
    values = np.full(len(report.segments), math.nan)
    if report.track is not None and len(report.track.starts):
        at = np.array([segment.at for segment in report.segments], dtype=np.int64)
        held = np.searchsorted(report.track.starts, at, side="right") - 1
        values = np.where(held >= 0, report.track.values[held.clip(min=0)], math.nan)
    elif len(report.responses) == len(values):
        values = np.array([response.score for response in report.responses], dtype=np.float64)
    return [float(value) if math.isfinite(value) else None for value in values]
