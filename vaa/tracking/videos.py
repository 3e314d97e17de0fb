"""The table of videos: how each did, its score track, its most suspicious moment, what was said of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vaa.evaluation.detection import within_video_auc
from vaa.evaluation.evaluation import Evaluation
from vaa.tracking.pictures import frame_with_boxes, score_plot
from vaa.types import Failure, Floats, Report, Video

log = logging.getLogger("vaa")


def rows(found: Evaluation, pictures: int) -> list[dict[str, Any]]:
    """A row a video, those most worth a look first, failed ones last; the first `pictures` scored ones get pictures."""
    scored = [video for video in found.ranking if video in found.scores]
    told = [_row(found, video) for video in found.ranking]
    for row in told[: min(pictures, len(scored))]:
        row |= _pictures(found, row)
    if len(scored) > pictures:
        log.info("W&B: pictures of %d of %d videos (wandb.pictures=%d)", pictures, len(scored), pictures)
    shown = [row for row in told if row["scores"] is not None]
    lacking = [row["video"] for row in shown if row["moment"] is None]
    if lacking:
        log.info("W&B: no frame of %d of %d videos can be read, first %s", len(lacking), len(shown), lacking[0])
    return told + [_failed(found, failure) for failure in found.result.failures]


def peak(scores: Floats) -> int:
    """The frame in the middle of the first stretch at which scores, shape (frames,), are highest."""
    top = np.flatnonzero(scores == scores.max())
    ends = np.flatnonzero(np.diff(top) > 1)
    last = int(ends[0]) if len(ends) else len(top) - 1
    return int(top[last // 2])


def shown_frame(report: Report, moment: int) -> int:
    """The frame that shows a moment: the nearest one with a box within its segment, else the moment's own."""
    k = _segment(report, moment)
    if k is None:
        return moment
    within = [b.frame for b in report.boxes if report.segments[k].start <= b.frame < report.segments[k].stop]
    return min(within, key=lambda frame: abs(frame - moment), default=moment)


def _row(found: Evaluation, video: str) -> dict[str, Any]:
    report, scores, labels = found.result.reports[video], found.scores.get(video), found.labels.get(video)
    moment = peak(scores) if scores is not None and len(scores) else None
    auc = math.nan if labels is None else within_video_auc([labels], [found.scores[video]])
    return {
        **_known(found, report.video),
        "anomalous_share": None if labels is None else float(labels.mean()),
        "auc": _number(auc),
        "max_score": None if scores is None or moment is None else float(scores[moment]),
        "error": _number(found.error(video)),
        "moment_frame": moment,
        "moment_second": _second(moment, report.video.fps),
        "scores": None,
        "moment": None,
        "text": _said(report, moment),
        "tags": report.tags or None,
        "summary": report.summary or None,
        "gated": report.gated,
        "failed": None,
    }


def _failed(found: Evaluation, failure: Failure) -> dict[str, Any]:
    """A video without numbers, and why."""
    known = next((v for v in found.dataset.videos if v.id == failure.video), None)
    about = {"video": failure.video, "class": found.label(failure.video), "frames": None, "seconds": None}
    none = dict.fromkeys(("anomalous_share", "auc", "max_score", "error", "moment_frame", "moment_second"))
    empty = dict.fromkeys(("scores", "moment", "text", "tags", "summary", "gated"))
    told = _known(found, known) if known else about
    return {**told, **none, **empty, "failed": f"{failure.stage}: {failure.reason}"}


def _known(found: Evaluation, video: Video) -> dict[str, Any]:
    seconds = _second(video.n_frames, video.fps)
    return {"video": video.id, "class": found.label(video.id), "frames": video.n_frames, "seconds": seconds}


def _pictures(found: Evaluation, row: dict[str, Any]) -> dict[str, Any]:
    """The cells that hold pictures; a picture that cannot be drawn costs only itself."""
    import wandb

    video, moment = row["video"], row["moment_frame"]
    report, cells = found.result.reports[video], {}
    try:
        cells["scores"] = wandb.Image(score_plot(found.scores[video], found.labels.get(video)))
        if moment is not None:
            true: Sequence[Any] = report.truth.boxes if report.truth else ()
            frame = shown_frame(report, moment)
            cells["moment"] = frame_with_boxes(report.video, frame, report.boxes, true, report.tags, found.decoder)
    except Exception as error:
        log.warning("W&B: no picture of %s: %s: %s", video, type(error).__name__, error)
    return cells


def _said(report: Report, moment: int | None) -> str | None:
    k = None if moment is None else _segment(report, moment)
    if k is None or k >= len(report.responses):
        return None
    return report.responses[k].description or report.responses[k].text or None


def _segment(report: Report, frame: int) -> int | None:
    """Which segment's score holds at a frame: the last that begins to hold there or before."""
    if not report.segments:
        return None
    return max(0, int(np.searchsorted([segment.at for segment in report.segments], frame, side="right")) - 1)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _second(frame: int | None, fps: float) -> float | None:
    return round(frame / fps, 2) if frame is not None and fps else None
