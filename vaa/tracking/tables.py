"""W&B's tables of a run: classes, videos and segments."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from vaa.data.masks import boxes_at
from vaa.evaluation.detection import within_video_auc
from vaa.evaluation.evaluation import Evaluation, peak_frame, segment_at, text_at
from vaa.tracking.media import frame_with_boxes, score_plot
from vaa.types import Failure, Report, ScoreTrack, Video

log = logging.getLogger("vaa")
Row = dict[str, Any]


def class_rows(evaluation: Evaluation) -> list[Row]:
    """A row per class: its anomalous videos, their frames, the share of these that is anomalous, both AUCs."""
    rows = [asdict(result) for result in evaluation.classes]
    return [{"class": row.pop("name"), **row} for row in rows]


def video_rows(evaluation: Evaluation, videos: Sequence[Video], decoder: str, max_pictures: int) -> list[Row]:
    """A row per video, by interest, failed ones last; the first `max_pictures` scored ones have pictures."""
    scored = [video for video in evaluation.ranked if video in evaluation.scores]
    rows = [_video_row(evaluation, video) for video in evaluation.ranked]
    for row in rows[: min(max_pictures, len(scored))]:
        row |= _pictures(evaluation, row, decoder)
    if len(scored) > max_pictures:
        log.info("W&B: pictures of %d of %d videos (wandb.pictures=%d)", max_pictures, len(scored), max_pictures)
    shown = [row for row in rows if row["scores"] is not None]
    undecoded = [row["video"] for row in shown if row["peak"] is None]
    if undecoded:
        log.info("W&B: no frame of %d of %d videos can be read, first %s", len(undecoded), len(shown), undecoded[0])
    known = {video.id: video for video in videos}
    return rows + [_failed_row(evaluation, failure, known.get(failure.video)) for failure in evaluation.failures]


def _video_row(evaluation: Evaluation, video: str) -> Row:
    report, scores, labels = evaluation.reports[video], evaluation.scores.get(video), evaluation.labels.get(video)
    peak = peak_frame(scores) if scores is not None and len(scores) else None
    auc = math.nan if scores is None or labels is None else within_video_auc([labels], [scores])
    return {
        **_video_columns(evaluation, report.video),
        "anomalous_share": None if scores is None or labels is None else float(labels.mean()),
        "auc": _finite(auc),
        "max_score": None if scores is None or peak is None else float(scores[peak]),
        "error": _finite(evaluation.error(video)),
        "peak_frame": peak,
        "peak_second": _seconds(report.video, peak),
        "scores": None,
        "peak": None,
        "text": None if peak is None else text_at(report, peak),
        "tags": report.tags or None,
        "summary": report.summary or None,
        "gated": report.gated,
        "failed": None,
    }


def _failed_row(evaluation: Evaluation, failure: Failure, video: Video | None) -> Row:
    """The reason of a failure; all numbers are empty."""
    unknown = {"video": failure.video, "class": evaluation.label(failure.video), "frames": None, "seconds": None}
    numbers = dict.fromkeys(("anomalous_share", "auc", "max_score", "error", "peak_frame", "peak_second"))
    cells = dict.fromkeys(("scores", "peak", "text", "tags", "summary", "gated"))
    columns = _video_columns(evaluation, video) if video else unknown
    return {**columns, **numbers, **cells, "failed": f"{failure.stage}: {failure.reason}"}


def _video_columns(evaluation: Evaluation, video: Video) -> Row:
    seconds = _seconds(video, video.n_frames)
    return {"video": video.id, "class": evaluation.label(video.id), "frames": video.n_frames, "seconds": seconds}


def _pictures(evaluation: Evaluation, row: Row, decoder: str) -> Row:
    """The cells that hold pictures; where one cannot be drawn, its cell is empty."""
    import wandb

    video, peak, cells = row["video"], row["peak_frame"], Row()
    report = evaluation.reports[video]
    try:
        cells["scores"] = wandb.Image(score_plot(evaluation.scores[video], evaluation.labels.get(video)))
        if peak is not None:
            frame = _frame_to_show(report, peak)
            annotated = boxes_at(report.truth, frame) if report.truth else ()
            cells["peak"] = frame_with_boxes(report.video, frame, report.boxes, annotated, report.tags, decoder)
    except Exception as error:
        log.warning("W&B: no picture of %s: %s: %s", video, type(error).__name__, error)
    return cells


def _frame_to_show(report: Report, peak: int) -> int:
    """The frame with a box that is nearest to the peak within its segment, else the peak itself."""
    k = segment_at(report, peak)
    if k is None:
        return peak
    segment = report.segments[k]
    with_box = [box.frame for box in report.boxes if segment.start <= box.frame < segment.stop]
    return min(with_box, key=lambda frame: abs(frame - peak), default=peak)


def segment_rows(evaluation: Evaluation, max_rows: int) -> tuple[list[Row], int]:
    """At most `max_rows` rows, of the videos of most interest; and how many segments there are.

    `STAGE text` and `STAGE score` are there for each stage that changed some, empty where it changed nothing. With
    definitions, `definition` is the one with the highest score, and `watch_for NAME` the score of each.
    """
    rows: list[Row] = []
    for video in evaluation.ranked:
        if len(rows) < max_rows:
            rows += _video_segments(evaluation, video)[: max_rows - len(rows)]
    stages = dict.fromkeys(name for history in evaluation.history.values() for name in history)
    present = {column for row in rows for column in row}
    columns = ["video", "class", "frame", "start", "stop", "second", "anomalous_share", "text", "score"]
    columns += ["definition"] if "definition" in present else []
    columns += sorted(column for column in present if column.startswith("watch_for "))
    columns += [column for name in stages for column in (f"{name} text", f"{name} score") if column in present]
    total = sum(len(report.segments) for report in evaluation.reports.values())
    return [{column: row.get(column) for column in columns} for row in rows], total


def _video_segments(evaluation: Evaluation, video: str) -> list[Row]:
    report = evaluation.reports[video]
    labels = evaluation.labels.get(video) if video in evaluation.scores else None
    texts, scores = _segment_texts(report), _segment_scores(report, report.track)
    rows: list[Row] = [
        {
            "video": video,
            "class": evaluation.label(video),
            "frame": segment.at,
            "start": segment.start,
            "stop": segment.stop,
            "second": _seconds(report.video, segment.at),
            "anomalous_share": None if labels is None else float(labels[segment.start : segment.stop].mean()),
            "text": text,
            "score": score,
        }
        for segment, text, score in zip(report.segments, texts, scores, strict=True)
    ]
    for row, response in zip(rows, report.responses, strict=False):
        row |= {"definition": response.definition} if response.definition else {}
    for definition in report.definition_tracks:
        for row, score in zip(rows, _segment_scores(report, definition.track), strict=True):
            row[f"watch_for {definition.name}"] = score
    _add_stages(rows, evaluation.history[video])
    return rows


def _add_stages(rows: list[Row], history: Mapping[str, Report]) -> None:
    """Add the text and the score after each stage where it differs from those before."""
    old_texts: list[str | None] = [None] * len(rows)
    old_scores: list[float | None] = [None] * len(rows)
    for name, after in history.items():
        if not after.segments:
            continue
        texts, scores = _segment_texts(after), _segment_scores(after, after.track)
        for row, text, old_text, score, old_score in zip(rows, texts, old_texts, scores, old_scores, strict=True):
            row |= {f"{name} text": text} if text != old_text else {}
            row |= {f"{name} score": score} if score != old_score else {}
        old_texts, old_scores = texts, scores


def _segment_texts(report: Report) -> list[str | None]:
    """The text of each segment: the description, or the whole answer where none could be parsed."""
    texts = [response.description_or_text or None for response in report.responses]
    return texts if len(texts) == len(report.segments) else [None] * len(report.segments)


def _segment_scores(report: Report, track: ScoreTrack | None) -> list[float | None]:
    """The score of each segment: the track's at its frame, or the response's before there is a track; None for NaN."""
    values = np.full(len(report.segments), math.nan)
    if track is not None and len(track.starts):
        at = np.array([segment.at for segment in report.segments], dtype=np.int64)
        place = np.searchsorted(track.starts, at, side="right") - 1
        values = np.where(place >= 0, track.values[place.clip(min=0)], math.nan)
    elif len(report.responses) == len(values):
        values = np.array([response.score for response in report.responses], dtype=np.float64)
    return [float(value) if math.isfinite(value) else None for value in values]


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _seconds(video: Video, frame: int | None) -> float | None:
    return round(video.seconds(frame), 2) if frame is not None and video.fps else None
