"""URF's layout: a folder per model under captions/, scores/ and refined_scores/, and files of all videos.

`captions/M/VIDEO.json` (frame -> caption), `scores/M/VIDEO.json`, `refined_scores/M/VIDEO.json` (frame -> score), in
`scores/M` and `refined_scores/M` `highest_lowest_intervals.json`, in `scores/M` `suspicious_part_phrases.json`,
`localisations/M.json` with `annotations/boxes_aligned.json`, `understanding/M.json`. M is the run's choice of a VLM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vaa.errors import DataError
from vaa.evaluation.localisation import iou
from vaa.export.content import EvenSpacing, ExportFile, VideoHistory, histories, model_name
from vaa.report.runs import Run
from vaa.types import XYXY, Box, Report, SuspiciousWindow, file_name

_MIN_IOU, _MIN_CONFIDENCE = 0.1, 0.5
"""The thresholds of URF's program."""


def files(run: Run) -> Iterator[ExportFile]:
    """The files of which the run has content; those of single videos first.

    Raises:
        DataError: the run has content for none of them, or its segments are not equally spaced.
    """
    model, interval, n_files = model_name(run, "vlm"), EvenSpacing(run), 0
    collected: dict[str, Any] = {}
    for each in histories(run):
        for folder, entries in (
            ("captions", each.captions()),
            ("scores", each.first_scores()),
            ("refined_scores", each.refined_scores()),
        ):
            if entries:
                interval.check(each.video, entries)
                n_files += 1
                yield ExportFile(f"{folder}/{model}/{file_name(each.video)}", entries)
        _collect(collected, each, model)
    if not n_files and not collected:
        raise DataError(
            f"{run.folder}: has no captions, scores, tags, boxes or descriptions, so there is nothing to write in "
            "URF's layout."
        )
    for path, content in collected.items():
        yield ExportFile(path, content)


def _collect(collected: dict[str, Any], each: VideoHistory, model: str) -> None:
    """Add a video to the files of all videos."""
    for folder, stage in (("scores", "find_window"), ("refined_scores", "find_final_window")):
        found = each.after(stage)
        if found is not None and found.suspicious_window is not None:
            windows = collected.setdefault(f"{folder}/{model}/highest_lowest_intervals.json", {})
            windows[each.video] = statistics(found.suspicious_window)
    tagged = each.after("tag")
    if tagged is not None:
        text = tagged.all_tags
        phrases = text if text.startswith("[") else str([tag for tag in text.split(", ") if tag])
        collected.setdefault(f"scores/{model}/suspicious_part_phrases.json", {})[each.video] = phrases
    located = each.after("locate")
    if located is not None and located.truth is not None and located.truth.boxes:
        collected.setdefault(f"localisations/{model}.json", []).extend(box_entries(each.video, located))
        annotated = collected.setdefault("annotations/boxes_aligned.json", {})
        annotated[each.video] = [
            [f"{each.video}/{box.frame:06d}.jpg", *_numbers(box.xyxy)] for box in located.truth.boxes
        ]
    explained = each.after("explain")
    if explained is not None and explained.summary:
        collected.setdefault(f"understanding/{model}.json", {})[each.video] = explained.summary


def statistics(window: SuspiciousWindow) -> dict[str, Any]:
    """A video's entry in `highest_lowest_intervals.json`, rounded as the authors round."""
    return {
        "highest_interval": [*window.highest],
        "highest_avg_score": round(window.highest_mean, 3),
        "lowest_interval": [*window.lowest],
        "lowest_avg_score": round(window.lowest_mean, 3),
        "std": round(window.std, 5),
        "avg_high_group": round(window.high_mean, 3),
        "avg_low_group": round(window.low_mean, 3),
        "gap_high_low": round(window.high_mean - window.low_mean, 3),
    }


def box_entries(video: str, report: Report) -> list[dict[str, Any]]:
    """An entry for each annotated box: the most confident box of its frame, and how well the two fit."""
    best: dict[int, Box] = {}
    for box in report.boxes:
        if box.frame not in best or box.score > best[box.frame].score:
            best[box.frame] = box
    entries = []
    for truth in report.truth.boxes if report.truth else ():
        predicted = best.get(truth.frame)
        raw = iou(truth.xyxy, predicted.xyxy) if predicted else 0.0
        final = raw if predicted and predicted.score >= _MIN_CONFIDENCE else 0.0
        entries.append(
            {
                "video": video,
                "gt_bbox": _numbers(truth.xyxy),
                "pred_bbox": _numbers(predicted.xyxy) if predicted else None,
                "confidence": predicted.score if predicted else 0.0,
                "raw_iou": raw,
                "raw_correct": int(raw >= _MIN_IOU),
                "final_iou": final,
                "final_correct": int(final >= _MIN_IOU),
            }
        )
    return entries


def _numbers(xyxy: XYXY) -> list[float]:
    """The corners, whole numbers as such."""
    return [int(x) if float(x).is_integer() else x for x in xyxy]
