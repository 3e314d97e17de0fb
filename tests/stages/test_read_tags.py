from __future__ import annotations

import json
from pathlib import Path

import pytest

from vaa.errors import ConfigError, VideoError
from vaa.stages.read_tags import ReadTags
from vaa.types import Report, Video


def tags(root: Path, video: str = "Abuse028_x264") -> tuple[str, str]:
    report = ReadTags(root=str(root))(Report(Video(video, Path("v.mp4"), 9, 30.0)))
    return report.tags, report.all_tags


def test_tags_of_a_run_are_those_before_unusable_ones_were_dropped(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    stages = {"tag": {"tags": "no fight", "all_tags": "no fight"}, "filter_tags": {"tags": ""}, "gate": {"gated": True}}
    (tmp_path / "reports/Abuse028_x264.json").write_text(json.dumps({"video": {}, "stages": stages}))
    assert tags(tmp_path) == ("no fight", "no fight")
    with pytest.raises(VideoError, match=r"none of 'Arson001'"):
        tags(tmp_path, "Arson001")


def test_tags_of_the_authors_file_are_found_by_the_last_part_of_the_name(tmp_path: Path) -> None:
    file = tmp_path / "suspicious_part_phrases.json"
    file.write_text(json.dumps({"Abuse/Abuse028_x264": "['a blow']", "b.mp4": "[]"}))
    assert tags(file) == ("['a blow']",) * 2
    assert tags(file, "b") == ("[]",) * 2
    with pytest.raises(VideoError, match="none of 'c'"):
        tags(file, "c")


@pytest.mark.parametrize("content", ["{", "[]", '{"Abuse028_x264": 3}', "null"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tags.json"
    file.write_text(content)
    with pytest.raises(VideoError, match="cannot be read"):
        tags(file)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"suspicious_window\.tag\.root"):
        ReadTags(root=str(tmp_path / "none"))
