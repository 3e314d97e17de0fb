"""URF's suspicious windows, read from `highest_lowest_intervals.json` instead of found in the scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from vaa.data.base import known_names, video_id
from vaa.errors import ConfigError, DataError, VideoError
from vaa.stages.base import WHOLE_VIDEO, Scope
from vaa.types import Report, SuspiciousWindow, local_path

FIELDS = {
    "highest_interval": "highest",
    "highest_avg_score": "highest_mean",
    "lowest_interval": "lowest",
    "lowest_avg_score": "lowest_mean",
    "std": "std",
    "avg_high_group": "high_mean",
    "avg_low_group": "low_mean",
}
"""Key of URF's file -> field of SuspiciousWindow; its `gap_high_low` is the difference of the last two."""


@dataclass(frozen=True, kw_only=True)
class ReadSuspiciousWindow:
    """Read the suspicious window of a video and its statistics.

    `file` is URF's `highest_lowest_intervals.json`, a mapping of videos. The authors store means to 3 digits and the
    standard deviation to 5.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    file: str

    def __post_init__(self) -> None:
        if not local_path(self.file).exists():
            raise ConfigError(f"suspicious_window.find_window.file={self.file}: no such file.")

    def __call__(self, report: Report) -> Report:
        """The report with its suspicious window.

        Raises:
            VideoError: the file does not have the video.
            DataError: the file is in another layout.
        """
        file = local_path(self.file)
        stat = file.stat()
        windows = _read(file, (stat.st_mtime_ns, stat.st_size))
        window = next((windows[name] for name in known_names(report.video.id) if name in windows), None)
        if window is None:
            raise VideoError(f"no suspicious window: {file} has no '{report.video.id}'.")
        return replace(report, suspicious_window=window)


@lru_cache(maxsize=4)
def _read(file: Path, _state: tuple[int, int]) -> Mapping[str, SuspiciousWindow]:
    """Read once for all videos and all jobs of a multirun, unless the file changes."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        return {video_id(name): _window(entry) for name, entry in content.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{file}: expected URF's intervals and statistics of each video: {error!r}") from error


def _window(entry: Mapping[str, Any]) -> SuspiciousWindow:
    values: dict[str, Any] = {field: entry[key] for key, field in FIELDS.items()}
    for field, value in values.items():
        if field in ("highest", "lowest"):
            start, stop = value
            values[field] = int(start), int(stop)
        else:
            values[field] = float(value)
    return SuspiciousWindow(**values)
