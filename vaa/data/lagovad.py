"""LaGoVAD's lists (PreVAD's zero-shot tests): JSON with the anomalous intervals as shares of the video."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaa.data.annotated import read_index
from vaa.data.base import video_id, why_invalid
from vaa.data.interval_table import NORMAL
from vaa.data.layout import file_video, missing_parts, read_each, require_parts
from vaa.data.search import files_by_name, find_video
from vaa.errors import DataError, VideoError
from vaa.types import Dataset, DecoderName, GroundTruth, Span, Video, local_path

log = logging.getLogger("vaa")
_ROUNDING = 0.01  # shares a little over 1 come from another frame count of the same video


@dataclass(frozen=True)
class ListedVideo:
    """A video of a list: its class, and its anomalous intervals as shares in [0, 1]."""

    id: str
    label: str
    shares: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class LaGoVADDataset:
    """The videos of `list`, in its order; `list`, `videos` and `lengths` are paths under `root`.

    A share s is the frame round(s n) of a video's n frames: those of its file in `videos`, found by name, or of the
    file `lengths` (lines `name first last class`, as in LAVAD's layout; None for no such file), which suffices for
    scores from files. `fps` is the rate of videos without a file.
    """

    name: str
    root: str
    list: str
    videos: str
    lengths: str | None
    fps: float
    decoder: DecoderName

    def load(self) -> Dataset:
        """The videos of the list; one whose length is not known is a failure.

        Raises:
            DataError: the list or the lengths are missing or have another layout.
        """
        root = require_parts(self.root, self._parts)
        listed = read_list(root / self.list)
        files = files_by_name(root / self.videos, listed, f"data.videos={self.videos}")
        lengths = read_index(root / self.lengths) if self.lengths else {}
        return read_each(
            self.name, listed, lambda id_: self._read(listed[id_], find_video(files, id_), lengths.get(id_))
        )

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """See ChecksFiles."""
        return missing_parts(self.root, self._parts | ({self.videos: "NAME.mp4"} if videos else {}))

    @property
    def _parts(self) -> dict[str, str]:
        lengths = {self.lengths: "a line per video: name, first frame, last frame, classes"} if self.lengths else {}
        return {self.list: "a list of {video_path, class_name, anomaly_span}"} | lengths

    def _read(self, listed: ListedVideo, file: Path | None, length: int | None) -> tuple[Video, GroundTruth]:
        root = local_path(self.root)
        if file is None and length is None:
            raise VideoError(
                f"its length is not known: no such file in {root / self.videos}, "
                + (f"no line in {self.lengths}." if self.lengths else "and data.lengths names no file with lengths.")
            )
        path = file or root / self.videos / f"{listed.id}.mp4"
        where = root / (self.lengths or self.list)
        video = file_video(listed.id, path, length, where, fps=self.fps, decoder=self.decoder)
        pairs = [(round(start * video.n_frames), round(end * video.n_frames)) for start, end in listed.shares]
        spans = tuple(Span(start, stop, listed.label) for start, stop in pairs if start < stop)
        if len(spans) < len(pairs):
            log.warning("%s: %d intervals are shorter than half a frame.", listed.id, len(pairs) - len(spans))
        return video, GroundTruth(spans, listed.label)


def read_list(file: Path) -> dict[str, ListedVideo]:
    """The videos of a list by id, in its order; a share over 1 by less than 0.01 is cut.

    Raises:
        DataError: the file is no such list, or a video occurs twice.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(entries, list):
            raise TypeError("not a list")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: expected a JSON list of {{video_path, class_name, anomaly_span}}: {error}") from error
    videos: dict[str, ListedVideo] = {}
    for number, entry in enumerate(entries, 1):
        try:
            video = _parse_entry(entry)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{file}: entry {number} is not in LaGoVAD's layout: {error!r}") from error
        if reason := why_invalid(video.id):
            raise DataError(f"{file}: entry {number}: {video.id!r} {reason}.")
        if video.id in videos:
            raise DataError(f"{file}: entry {number}: '{video.id}' occurs a second time.")
        videos[video.id] = video
    if not videos:
        raise DataError(f"{file}: lists no video.")
    return videos


def _parse_entry(entry: Any) -> ListedVideo:
    shares = tuple((float(start), float(end)) for start, end in entry["anomaly_span"] or ())
    for start, end in shares:
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end <= 1 + _ROUNDING):
            raise ValueError(f"anomaly_span {start:g} to {end:g}: expected shares of the video, from 0 to 1")
    path, label = entry.get("video_path") or entry["path"], entry["class_name"]
    if not isinstance(path, str) or not isinstance(label, str):
        raise TypeError("video_path and class_name should be texts")
    return ListedVideo(video_id(path), label if shares else NORMAL, tuple((s, min(e, 1.0)) for s, e in shares))
