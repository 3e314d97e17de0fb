from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from vaa.errors import ConfigError, DataError, VideoError
from vaa.process import PROJECT_ROOT
from vaa.stages.read_scores import ReadScores
from vaa.stages.read_window import ReadSuspiciousWindow
from vaa.stages.urf import FindSuspiciousWindow
from vaa.types import Report, SuspiciousWindow, Video

ENTRY = {
    "highest_interval": [32, 332],
    "highest_avg_score": 0.523,
    "lowest_interval": [0, 300],
    "lowest_avg_score": 0.1,
    "std": 0.21234,
    "avg_high_group": 0.6,
    "avg_low_group": 0.2,
    "gap_high_low": 0.4,
}


def report(id_: str = "v") -> Report:
    return Report(Video(id_, Path("v.mp4"), 400, 30.0))


def read(folder: Path, content: object, id_: str = "v") -> SuspiciousWindow | None:
    file = folder / "highest_lowest_intervals.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return ReadSuspiciousWindow(file=str(file))(report(id_)).suspicious_window


@pytest.mark.parametrize("name", ["v__#1", "v__1", "Riot/v__#1.mp4"])
def test_the_window_of_a_video_is_read(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, {name: ENTRY}, "v__#1") == SuspiciousWindow(
        highest=(32, 332),
        highest_mean=0.523,
        lowest=(0, 300),
        lowest_mean=0.1,
        std=0.21234,
        high_mean=0.6,
        low_mean=0.2,
    )


@pytest.mark.parametrize(
    "content",
    ["{half a fi", [ENTRY], {"v": {**ENTRY, "std": "high"}}, {"v": {"highest_interval": [0, 300]}}],
    ids=["damaged", "list", "text", "incomplete"],
)
def test_a_file_with_another_layout_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(DataError, match=r"highest_lowest_intervals\.json: expected URF's intervals"):
        read(tmp_path, content)


def test_a_video_that_is_not_in_the_file_fails_alone(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no suspicious window"):
        read(tmp_path, {"other": ENTRY})
    with pytest.raises(ConfigError, match=r"find_window\.file=.*: no such file"):
        ReadSuspiciousWindow(file=str(tmp_path / "nowhere.json"))


def test_the_released_statistics_are_those_of_the_released_scores(shared: Path) -> None:
    """290 videos: the window that is read is the one that is found, up to the digits that the authors store."""
    folder = shared / "recorded/urf/ucf_crime/scores/videollama3"
    scores, finder = (
        ReadScores(root=str(folder), field="refined", step=1, lowest=0.0, highest=1.0),
        FindSuspiciousWindow(n_parts=10, min_frames=300),
    )
    reader = ReadSuspiciousWindow(file=str(folder / "highest_lowest_intervals.json"))
    videos = sorted(file.stem for file in folder.glob("*_x264.json"))
    assert len(videos) == 290
    for id_ in videos:
        found, read_back = finder(scores(report(id_))).suspicious_window, reader(report(id_)).suspicious_window
        assert found is not None
        assert read_back is not None
        assert (read_back.highest, read_back.lowest) == (found.highest, found.lowest)
        rounded = round(found.highest_mean, 3), round(found.lowest_mean, 3), round(found.std, 5)
        assert (read_back.highest_mean, read_back.lowest_mean, read_back.std) == rounded
        assert (read_back.high_mean, read_back.low_mean) == (round(found.high_mean, 3), round(found.low_mean, 3))


def test_the_choice_that_reads_the_window_names_tags_as_the_other_one_does() -> None:
    def choice(name: str) -> Any:
        return yaml.safe_load((PROJECT_ROOT / f"conf/suspicious_window/{name}.yaml").read_text())

    recorded, urf = choice("recorded"), choice("urf")
    assert {**recorded, "find_window": None} == {**urf, "find_window": None}
