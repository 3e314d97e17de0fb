"""vaa.analyse: a report without a run's folder, with a stage of the working directory."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import vaa
from vaa.analysis import _override
from vaa.errors import ConfigError, DataError, VideoError

TINY = {"method": "plain", "vlm": "tiny", "cache": None}
STAGE = """
from __future__ import annotations
from dataclasses import dataclass, replace
from vaa.stages.base import SEGMENT
from vaa.types import Report, ScoreTrack

@dataclass(frozen=True, kw_only=True)
class Constant:
    value: float
    scope = SEGMENT

    def __call__(self, report: Report) -> Report:
        return replace(report, track=ScoreTrack(report.track.values * 0 + self.value, report.track.starts))
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_a_video_is_analysed_with_a_stage_of_the_working_directory_and_nothing_is_written(
    clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "conf/smoothing").mkdir(parents=True)
    (tmp_path / "conf/smoothing/constant.yaml").write_text("_target_: constant_stage.Constant\nvalue: ???\n")
    (tmp_path / "constant_stage.py").write_text(STAGE)
    before = {entry.name for entry in tmp_path.iterdir()}
    settings = {**TINY, "smoothing": "constant", "smoothing.value": 0.25}
    settings |= {"window": "frames30x8", "window.length": 10}
    report = vaa.analyse(clip, **settings)
    assert report.track is not None
    np.testing.assert_array_equal(report.track.per_frame(report.video.n_frames).values, np.full(25, 0.25))
    assert (report.video.id, len(report.segments), len(report.responses)) == ("clip", 3, 3)
    assert {entry.name for entry in tmp_path.iterdir()} - {"__pycache__"} == before
    assert not GlobalHydra.instance().is_initialized()
    with pytest.raises(ConfigError, match=r"smoothing\.value"):
        vaa.analyse(clip, **{**settings, "smoothing.value": "high"})


def test_a_folder_gives_the_reports_of_the_videos_that_can_be_read(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    assert list(vaa.analyse_folder(tmp_path, **TINY)) == ["clip"]
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        vaa.analyse(tmp_path / "broken.mp4", **TINY)
    clip.unlink()
    with pytest.raises(DataError, match=r"broken\.mp4"):
        vaa.analyse_folder(tmp_path, **TINY)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"smooting": "none"}, ConfigError, "Did you mean smoothing"),
        ({"limit": 3}, ConfigError, "limit"),
        ({"wandb.mode": "online"}, ConfigError, r"wandb\.mode"),
        ({"window.length": {16}}, ConfigError, r"window\.length"),
        ({"llm": "tiny"}, ConfigError, "llm"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(clip: Path, settings: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        vaa.analyse(clip, **{**TINY, **settings})


def test_what_to_look_for_is_asked_about(clip: Path) -> None:
    report = vaa.analyse(clip, watch_for=["a fire", "a fight"], **TINY)
    assert [each.name for each in report.definition_tracks] == ["a fire", "a fight"]
    assert vaa.analyse(clip, **TINY).definition_tracks == ()


def test_a_tiny_model_beside_a_real_one_is_refused_and_unparsed_answers_are_a_warning(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="tiny_clip"):
        vaa.analyse(clip, method="corevad", vlm="internvl", cache=None)
    (tmp_path / "prompt.txt").write_text("$frames\nDescribe the scene.")
    with caplog.at_level(logging.WARNING, "vaa"):
        vaa.analyse(clip, **TINY, **{"prompt.file": tmp_path / "prompt.txt"})
    assert "the scores mean nothing" in caplog.text


def test_a_missing_video_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        vaa.analyse(tmp_path / "missing.mp4", **TINY)
    with pytest.raises(ConfigError, match="analyse_folder"):
        vaa.analyse(tmp_path, **TINY)


def test_hydra_of_the_calling_program_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("number: 3\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        with pytest.raises(DataError):
            vaa.analyse(tmp_path / "missing.mp4", **TINY)
        assert compose("own") == {"number": 3}


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.5,
        "a b",
        "a,b",
        'it\'s "q"',
        "c:\\d\\",
        'x\\"y',
        "null",
        "True",
        "1",
        "~x",
        "",
        ["a", "b,c"],
        {"a": 1},
    ],
    ids=repr,
)
def test_values_of_python_are_those_that_hydra_reads(value: object) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(_override("key", value))
    assert override.value() == value
    assert type(override.value()) is type(value)


def test_importing_vaa_loads_no_library_and_offers_its_functions() -> None:
    script = (
        "import sys; names = set(sys.modules); import vaa; print(sorted(n for n in set(sys.modules) - names"
        " if n.split('.')[0] in ('numpy', 'torch', 'pandas', 'hydra'))); print(set(vaa.__all__) <= set(dir(vaa)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True"]
    with pytest.raises(AttributeError, match="nothing"):
        vaa.nothing  # noqa: B018
