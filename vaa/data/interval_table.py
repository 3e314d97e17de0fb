"""A table of labelled intervals: a CSV file with the header `video,start,end,label[,x1,y1,x2,y2]`.

`start` and `end` are times (`12.5`, `mm:ss` or `h:mm:ss`, with decimals), `video` is an id or a file name under the
data set's folder. The box, in pixels, is that of all frames of the interval.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa.choices import most_similar
from vaa.errors import DataError
from vaa.types import XYXY, Box, GroundTruth, Span, Video

DEFAULT_LABEL, NORMAL = "Anomaly", "Normal"
"""The class of an interval without a label, and of a video without an interval."""
_REQUIRED, _BOX = ("video", "start", "end"), ("x1", "y1", "x2", "y2")
_COLUMNS = (*_REQUIRED, "label", *_BOX)
_TIME = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d+)?)")
_ROUNDING = 1.0  # seconds: an end that was rounded up to a whole second is the end of the video
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class LabelledInterval:
    """A row of the table: the time from `start` up to `end`, in seconds, and a box (x1, y1, x2, y2) if it has one."""

    line: int
    video: str
    start: float
    end: float
    label: str
    box: XYXY | None

    def span(self, video: Video) -> Span:
        """The frames that are shown from `start` up to `end`; one frame at least."""
        first, stop = (min(video.frame_at(seconds), video.n_frames) for seconds in (self.start, self.end))
        return Span(start=max(0, min(first, stop - 1)), stop=max(1, stop), label=self.label)


def read_interval_table(
    file: Path, root: Path, videos: Sequence[Video], unusable: Sequence[str]
) -> dict[str, GroundTruth]:
    """The ground truth of each video; a video without a row is normal. A video's class is that of its first interval.

    Args:
        file: the table.
        root: the folder that the names in the table may be relative to.
        videos: those that the table may name, by id or by path under `root`.
        unusable: further names, the rows of which are skipped.

    Raises:
        DataError: names each line that has no such video, no valid time, an interval past the end, or no valid box.
    """
    ids = {name: video for video in videos for name in (video.path.relative_to(root).as_posix(), video.id)}
    problems: list[str] = []
    rows: dict[str, list[LabelledInterval]] = {video.id: [] for video in videos}
    for row in _read_rows(file, problems):
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
    return {video.id: _truth(video, rows[video.id]) for video in videos}


def _truth(video: Video, rows: Sequence[LabelledInterval]) -> GroundTruth:
    spans = [(row.span(video), row.box) for row in sorted(rows, key=lambda row: (row.start, row.line))]
    boxes = {
        (frame, box): Box(frame, box, 1.0)
        for span, box in spans
        if box is not None
        for frame in range(span.start, span.stop)
    }
    return GroundTruth(
        spans=tuple(span for span, _ in spans),
        label=spans[0][0].label if spans else NORMAL,
        boxes=tuple(boxes[key] for key in sorted(boxes)),
    )


def _outside(row: LabelledInterval, video: Video) -> Iterator[str]:
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
    missing = [name for name in _REQUIRED if name not in header]
    boxes = [name for name in _BOX if name in header]
    if unknown or missing or len(set(header)) < len(header) or len(boxes) not in (0, len(_BOX)):
        raise DataError(
            f"{file}:1: the columns are '{','.join(header)}'. Needed: video,start,end,label or "
            f"{','.join(_COLUMNS)}, separated by commas; label may be left out."
        )


def _parse_row(line: int, values: Mapping[str, str]) -> LabelledInterval:
    if not values["video"]:
        raise ValueError("names no video.")
    start, end = (_parse_time(name, values[name]) for name in ("start", "end"))
    if end <= start:
        raise ValueError(f"the end, {values['end']}, is not after the start, {values['start']}.")
    return LabelledInterval(
        line=line,
        video=values["video"],
        start=start,
        end=end,
        label=values.get("label") or DEFAULT_LABEL,
        box=_parse_box([values.get(name, "") for name in _BOX]),
    )


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
