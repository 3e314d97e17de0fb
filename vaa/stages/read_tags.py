"""Tags read from disk: from an earlier run, or from the authors' file (URF)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

from vaa.data.base import known_names, video_id
from vaa.errors import ConfigError, VideoError
from vaa.stages.base import WHOLE_VIDEO, Scope
from vaa.types import Report, file_name, local_path


@dataclass(frozen=True, kw_only=True)
class ReadTags:
    """Read the tags that an earlier run gave a video: those of the first scores, for boxes or a description alone.

    `root`: the folder of that run, or a JSON file, video -> tags (URF's `suspicious_part_phrases.json`).
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    root: str

    def __post_init__(self) -> None:
        if not local_path(self.root).exists():
            raise ConfigError(f"suspicious_window.tag.root={self.root}: no such folder or file.")

    def __call__(self, report: Report) -> Report:
        """The report with its tags.

        Raises:
            VideoError: the run or the file has none of this video, or cannot be read.
        """
        root, names = local_path(self.root), known_names(report.video.id)
        try:
            if root.is_dir():
                files = [root / "reports" / file_name(name) for name in names]
                content = json.loads(next(file for file in files if file.is_file()).read_text(encoding="utf-8"))
                stages = [stage for stage in content["stages"].values() if "all_tags" in stage]
                tags = stages[-1]["all_tags"]
            else:
                phrases = {
                    video_id(name): text for name, text in json.loads(root.read_text(encoding="utf-8-sig")).items()
                }
                tags = next(phrases[name] for name in names if name in phrases)
            if not isinstance(tags, str):
                raise TypeError(f"its tags are not a text but {tags}")
        except StopIteration:
            raise VideoError(f"no tags: {root} has none of '{report.video.id}'.") from None
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise VideoError(f"no tags: {root} cannot be read: {error}") from error
        return replace(report, tags=tags, all_tags=tags)
