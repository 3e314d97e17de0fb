from __future__ import annotations

import json
from pathlib import Path

import pytest

from vaa.models.recorded import Recorded
from vaa.types import Question, Unanswered, VaaError, Video

ANSWERS = {"v": ["Anomalous scenes. Fire.", "Normal scenes. A man.", "Normal scenes."], "w": "not a list"}


def question(video: str = "v", at: int = 0, purpose: str = "verdict") -> Question:
    return Question(purpose, Video(video, Path("nowhere.mp4"), 90, 30.0), at, (at,), "what?")


def write(folder: Path, content: object = ANSWERS, name: str = "VLM_responses_LRC_ucf.json") -> Recorded:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return Recorded(str(folder), None)


def test_answers_are_found_by_video_and_frame_without_the_video(tmp_path: Path) -> None:
    model = write(tmp_path)
    assert list(model.answer([question(at=at) for at in (60, 0, 30)])) == [ANSWERS["v"][k] for k in (2, 0, 1)]
    assert model.identity is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (question("x"), "VLM_responses_LRC_ucf.json has no answers"),
        (question("w"), "VLM_responses_LRC_ucf.json has no answers"),
        (question(at=90), "VLM_responses_LRC_ucf.json ends before"),
    ],
)
def test_what_was_not_recorded_is_unanswered(tmp_path: Path, asked: Question, reason: str) -> None:
    (answer, other) = write(tmp_path).answer([asked, question()])
    assert isinstance(answer, Unanswered)
    assert answer.reason.startswith(reason)
    assert other == ANSWERS["v"][0]


@pytest.mark.parametrize(
    ("asked", "says"),
    [(question(at=16), "windows of 30 frames, not one at frame 16"), (question(purpose="poem"), "'poem'")],
)
def test_what_cannot_have_been_recorded_ends_the_run(tmp_path: Path, asked: Question, says: str) -> None:
    with pytest.raises(VaaError, match=says):
        list(write(tmp_path).answer([asked]))


def test_of_several_files_one_has_to_be_named(tmp_path: Path) -> None:
    write(tmp_path)
    model = write(tmp_path, {"v": ["other"]}, "VLM_responses_LRC_xd.json")
    with pytest.raises(VaaError, match=r"2 files fit.*VLM_responses_LRC_ucf, VLM_responses_LRC_xd"):
        list(model.answer([question()]))
    assert list(Recorded(model.root, "VLM_responses_LRC_xd").answer([question()])) == ["other"]


@pytest.mark.parametrize("content", ["{half a fi", ["a list"]], ids=["damaged", "list"])
def test_a_file_in_another_layout_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(VaaError, match=r"VLM_responses_LRC_ucf\.json"):
        list(write(tmp_path, content).answer([question()]))


def test_missing_files_and_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(VaaError, match="0 files fit"):
        list(Recorded(str(tmp_path), None).answer([question()]))
    with pytest.raises(VaaError, match="no such folder"):
        list(Recorded(str(tmp_path / "nowhere"), None).answer([question()]))
