"""Final scores and boxes in layouts of any program: npy, csv, VADTree's JSON, lists of detections.

`method=scored` reads each of them again. Scores are those of `run.scores`: one a frame, by the run's protocol.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from vaa.errors import DataError
from vaa.export.content import ExportFile, histories
from vaa.report.runs import Run
from vaa.types import file_name


def npy(run: Run) -> Iterator[ExportFile]:
    """`VIDEO.npy`: shape (frames,), float64.

    Raises:
        DataError: no video has scores.
    """
    for video, scores in _scores(run).items():
        content = io.BytesIO()
        np.save(content, scores)
        yield ExportFile(_name(video, "npy"), content.getvalue())


def csv(run: Run) -> Iterator[ExportFile]:
    """`VIDEO.csv`: lines `frame,score`.

    Raises:
        DataError: no video has scores.
    """
    for video, scores in _scores(run).items():
        lines = ["frame,score", *(f"{frame},{score!r}" for frame, score in enumerate(scores.tolist()))]
        yield ExportFile(_name(video, "csv"), "".join(f"{line}\n" for line in lines).encode())


def vadtree(run: Run) -> Iterator[ExportFile]:
    """`scores.json`: {"vid_score": {"VIDEO.mp4": one score a frame}}.

    Raises:
        DataError: no video has scores.
    """
    scores = {f"{video}.mp4": values.tolist() for video, values in _scores(run).items()}
    yield ExportFile("scores.json", {"vid_score": scores})


def detections(run: Run) -> Iterator[ExportFile]:
    """`VIDEO.csv`: lines `frame,x1,y1,x2,y2,score`, of the videos with boxes.

    Raises:
        DataError: no video has boxes.
    """
    found = False
    for each in histories(run):
        boxes = each.final.boxes
        lines = [",".join(map(repr, (box.frame, *box.xyxy, box.score))) for box in boxes]
        if lines:
            found = True
            text = "\n".join(["frame,x1,y1,x2,y2,score", *lines, ""])
            yield ExportFile(_name(each.video, "csv"), text.encode())
    if not found:
        raise DataError(f"{run.folder}: has no boxes. Run a method that locates, such as method=urf_localise.")


def _scores(run: Run) -> dict[str, np.ndarray]:
    scores = {video: np.asarray(values, dtype=np.float64) for video, values in run.evaluation.scores.items()}
    if not scores:
        raise DataError(f"{run.folder}: has no scores.")
    return scores


def _name(video: str, suffix: str) -> str:
    return f"{file_name(video).removesuffix('.json')}.{suffix}"
