"""A table of labelled intervals: a CSV file with the header `video,start,end,label[,x1,y1,x2,y2][,annotator]`.

`start` and `end` are times (`12.5`, `mm:ss` or `h:mm:ss`, with decimals); in their place there may be `start_frame` and
`stop_frame`, the frames [start, stop) numbered from 0. `video` is an id or a file name under the data set's folder. The
box, in pixels, is that of all frames of the interval. With several annotators each row has the name of one.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa.choices import most_similar
from vaa.data.annotators import agreed, check_choice
from vaa.errors import DataError
from vaa.types import XYXY, Box, GroundTruth, Span, Video

DEFAULT_LABEL, NORMAL = "Anomaly", "Normal"
"""The class of an interval without a label, and of a video without an interval."""
_TIMES, _FRAMES, _BOX = ("start", "end"), ("start_frame", "stop_frame"), ("x1", "y1", "x2", "y2")
_COLUMNS = ("video", *_TIMES, *_FRAMES, "label", *_BOX, "annotator")
_TIME = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d+)?)")
_ROUNDING = 1.0  # seconds: an end that was rounded up to a whole second is the end of the video
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class LabelledInterval:
    """A row of the table: the time from `start` up to `end` and a box (x1, y1, x2, y2) if it has one.

    The time is in seconds, or with `in_frames` in frames. `annotator` is "" in a table without this column.
    """

    line: int
    video: str
    start: float
    end: float
    label: str
    box: XYXY | None
    annotator: str
    in_frames: bool

    def span(self, video: Video) -> Span:
        """The frames that are shown from `start` up to `end`; one frame at least."""
        if self.in_frames:
            return Span(start=int(self.start), stop=min(int(self.end), video.n_frames), label=self.label)
        first, stop = (min(video.frame_at(seconds), video.n_frames) for seconds in (self.start, self.end))
        return Span(start=max(0, min(first, stop - 1)), stop=max(1, stop), label=self.label)


def read_interval_table(
    file: Path, root: Path, videos: Sequence[Video], unusable: Sequence[str], annotators: str = "majority"
) -> dict[str, GroundTruth]:
    """The ground truth of each video; a video without a row is normal. A video's class is that of its first interval.

    Args:
        file: the table.
        root: the folder that the names in the table may be relative to.
        videos: those that the table may name, by id or by path under `root`.
        unusable: further names, the rows of which are skipped.
        annotators: which intervals count where several people have annotated (vaa/data/annotators.py): "majority",
            "any", "all" or a name. Everyone named in the table counts as an annotator of every video.

    Raises:
        DataError: names each line that has no such video, no valid time, an interval past the end, or no valid box;
            or the table does not have this annotator.
    """
    ids = {name: video for video in videos for name in (video.path.relative_to(root).as_posix(), video.id)}
    problems: list[str] = []
    rows: dict[str, list[LabelledInterval]] = {video.id: [] for video in videos}
    names: dict[str, None] = {}
    for row in _read_rows(file, problems):
        names |= {row.annotator: None} if row.annotator else {}
        video = ids.get(row.video) or ids.get(row.video.replace("\\", "/").removeprefix("./"))
        if video is not None:
            problems += _outside(row, video)
            rows[video.id].append(row)
        elif row.video not in unusable:
            similar = most_similar(row.video, ids)
            problems.append(
                f"{row.line}: no video '{row.video}' under {root}." + (f" Did you mean '{similar}'?" if similar else "")
            )
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        lines = [f"{file}:{problem}" for problem in problems[:_MAX_PROBLEMS]] + [f"... and {more} more"] * (more > 0)
        raise DataError("\n".join(lines))
    check_choice(annotators, list(names), str(file))
    return {video.id: _truth(video, rows[video.id], list(names), annotators) for video in videos}


def _truth(video: Video, rows: Sequence[LabelledInterval], names: Sequence[str], choice: str) -> GroundTruth:
    ordered = [(row, row.span(video)) for row in sorted(rows, key=lambda row: (row.start, row.line))]
    by_name = {name: tuple(span for row, span in ordered if row.annotator == name) for name in names}
    spans = agreed(by_name, choice, video.n_frames) if names else tuple(span for _, span in ordered)
    abnormal = {frame for span in spans for frame in range(span.start, span.stop)}
    boxes = {
        (frame, row.box): Box(frame, row.box, 1.0)
        for row, span in ordered
        if row.box is not None and (choice not in names or row.annotator == choice)
        for frame in range(span.start, span.stop)
        if frame in abnormal
    }
    return GroundTruth(
        spans=spans,
        label=spans[0].label if spans else NORMAL,
        boxes=tuple(boxes[key] for key in sorted(boxes)),
        annotators=by_name,
    )


def _outside(row: LabelledInterval, video: Video) -> Iterator[str]:
    if row.in_frames:
        if row.start >= video.n_frames or row.end > video.n_frames + 1:
            frames = f"[{row.start:g}, {row.end:g})"
            yield f"{row.line}: {frames} is past the end of '{row.video}' ({video.n_frames} frames)."
        return
    duration = video.end(video.n_frames)
    if row.start >= duration or row.end >= duration + _ROUNDING:
        yield f"{row.line}: {row.start:g} to {row.end:g} s is past the end of '{row.video}' ({duration:.3f} s)."


def _read_rows(file: Path, problems: list[str]) -> Iterator[LabelledInterval]:
    """The rows that can be read; what is wrong with the others is appended to `problems`, after the line's number.

    Raises:
        DataError: the file cannot be read, or its header is another one.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(file, header)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    problems.append(f"{reader.line_num}: {len(cells)} values for {len(header)} columns.")
                    continue
                values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
                try:
                    yield _parse_row(reader.line_num, values)
                except ValueError as error:
                    problems.append(f"{reader.line_num}: {error}")
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"data.labels={file}: cannot be read as CSV in UTF-8: {error}") from error


def _check_header(file: Path, header: Sequence[str]) -> None:
    unknown = [name for name in header if name not in _COLUMNS]
    bounds = [name for name in (*_TIMES, *_FRAMES) if name in header]
    boxes = [name for name in _BOX if name in header]
    complete = "video" in header and tuple(bounds) in (_TIMES, _FRAMES) and len(boxes) in (0, len(_BOX))
    if unknown or not complete or len(set(header)) < len(header):
        raise DataError(
            f"{file}:1: the columns are '{','.join(header)}'. Needed: video,start,end,label or video,start_frame,"
            "stop_frame,label, separated by commas; label may be left out, x1,y1,x2,y2 and annotator may be added."
        )


def _parse_row(line: int, values: Mapping[str, str]) -> LabelledInterval:
    if not values["video"]:
        raise ValueError("names no video.")
    if values.get("annotator") == "":
        raise ValueError("names no annotator.")
    in_frames = "start_frame" in values
    first, last = _FRAMES if in_frames else _TIMES
    start, end = (
        _parse_frame(name, values[name]) if in_frames else _parse_time(name, values[name]) for name in (first, last)
    )
    if end <= start:
        raise ValueError(
            f"the {'stop' if in_frames else 'end'}, {values[last]}, is not after the start, {values[first]}."
        )
    return LabelledInterval(
        line=line,
        video=values["video"],
        start=start,
        end=end,
        label=values.get("label") or DEFAULT_LABEL,
        box=_parse_box([values.get(name, "") for name in _BOX]),
        annotator=values.get("annotator", ""),
        in_frames=in_frames,
    )


def _parse_frame(name: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{name}={text!r} is no frame number: give a whole number from 0.")
    return float(text)


def _parse_time(name: str, text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None or not text.isascii():
        raise ValueError(f"{name}={text!r} is no time: give seconds (12.5), mm:ss or h:mm:ss.")
    hours, minutes, seconds = int(match["hours"] or 0), int(match["minutes"] or 0), float(match["seconds"])
    if (match["minutes"] and seconds >= 60) or (match["hours"] and minutes >= 60):
        raise ValueError(f"{name}={text!r} is no time: minutes and seconds after a colon are below 60.")
    return 3600.0 * hours + 60.0 * minutes + seconds


def _parse_box(texts: Sequence[str]) -> XYXY | None:
    if not any(texts):
        return None
    try:
        x1, y1, x2, y2 = (float(text) for text in texts)
    except ValueError:
        x1 = y1 = x2 = y2 = math.nan
    if not (0 <= x1 < x2 < math.inf and 0 <= y1 < y2 < math.inf):
        raise ValueError(f"{','.join(texts)} is no box: give x1,y1,x2,y2 in pixels, with x1 < x2 and y1 < y2, or none.")
    return x1, y1, x2, y2
