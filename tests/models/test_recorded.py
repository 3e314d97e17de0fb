from __future__ import annotations

import json
from pathlib import Path

import pytest

from vaa.errors import VaaError
from vaa.models.recorded import RecordedModel
from vaa.types import GenerateQuery, NoAnswer, Query, Video

NOTHING_CHOSEN = dict.fromkeys(("captions", "scores", "refined_scores", "localisation", "understanding"))
ANSWERS = {"v": ["Anomalous scenes. Fire.", "Normal scenes. A man.", "Normal scenes."], "w": "not a list"}


def query(video: str = "v", at: int = 0, purpose: str = "verdict") -> Query:
    return GenerateQuery(
        purpose=purpose,
        video=Video(video, Path("nowhere.mp4"), 90, 30.0),
        at=at,
        frames=(at,),
        text="what?",
        max_new_tokens=8,
    )


def recorded(folder: Path | str, verdict: str | None = None, **chosen: str) -> RecordedModel:
    return RecordedModel(**{"root": str(folder), "verdict": verdict, **NOTHING_CHOSEN, **chosen})


def write(folder: Path, content: object = ANSWERS, name: str = "VLM_responses_LRC_ucf.json") -> RecordedModel:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return recorded(folder)


def test_answers_are_found_by_video_and_frame_without_the_video(tmp_path: Path) -> None:
    model = write(tmp_path)
    assert list(model.generate([query(at=at) for at in (60, 0, 30)])) == [ANSWERS["v"][k] for k in (2, 0, 1)]
    assert model.identity is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (query("x"), "VLM_responses_LRC_ucf.json has no answers"),
        (query("w"), "VLM_responses_LRC_ucf.json has no answers"),
        (query(at=90), "VLM_responses_LRC_ucf.json ends before"),
    ],
)
def test_what_was_not_recorded_is_unanswered(tmp_path: Path, asked: Query, reason: str) -> None:
    (answer, other) = write(tmp_path).generate([asked, query()])
    assert isinstance(answer, NoAnswer)
    assert answer.reason.startswith(reason)
    assert other == ANSWERS["v"][0]


@pytest.mark.parametrize(
    ("asked", "says"),
    [(query(at=16), "windows of 30 frames, none at frame 16"), (query(purpose="poem"), "'poem'")],
)
def test_what_cannot_have_been_recorded_ends_the_run(tmp_path: Path, asked: Query, says: str) -> None:
    with pytest.raises(VaaError, match=says):
        list(write(tmp_path).generate([asked]))


def test_of_several_files_one_has_to_be_named(tmp_path: Path) -> None:
    write(tmp_path)
    model = write(tmp_path, {"v": ["other"]}, "VLM_responses_LRC_xd.json")
    with pytest.raises(VaaError, match=r"2 files fit.*VLM_responses_LRC_ucf, VLM_responses_LRC_xd"):
        list(model.generate([query()]))
    assert list(recorded(model.root, "VLM_responses_LRC_xd").generate([query()])) == ["other"]


@pytest.mark.parametrize("content", ["{half a fi", ["a list"]], ids=["damaged", "list"])
def test_a_file_in_another_layout_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(VaaError, match=r"VLM_responses_LRC_ucf\.json"):
        list(write(tmp_path, content).generate([query()]))


def test_missing_files_and_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(VaaError, match="0 files fit"):
        list(recorded(tmp_path).generate([query()]))
    with pytest.raises(VaaError, match="no such folder"):
        list(recorded(tmp_path / "nowhere").generate([query()]))


def lay(root: Path, files: dict[str, object]) -> RecordedModel:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    return recorded(root)


URF = {
    "captions/llama/v.json": {"0": "A man walks", "16": "A man runs"},
    "scores/llama/v.mp4.json": {"0": 0.1, "16": 0.25},
    "scores/llama/suspicious_part_phrases.json": {"v": "[running]"},
    "refined_scores/v.json": {"0": 0.0, "16": 1.0},
}


@pytest.mark.parametrize(
    ("purpose", "said"),
    [("caption", "A man runs"), ("rating", "[0.25]"), ("rerating", "[1.0]"), ("tags", "[running]")],
)
def test_urfs_files_answer_by_purpose_and_frame(tmp_path: Path, purpose: str, said: str) -> None:
    assert list(lay(tmp_path, URF).generate([query(at=16, purpose=purpose)])) == [said]


@pytest.mark.parametrize("purpose", ["caption", "rating", "rerating", "tags"])
def test_what_urf_did_not_record_is_unanswered(tmp_path: Path, purpose: str) -> None:
    (answer,) = lay(tmp_path, URF).generate([query("unknown", 16, purpose)])
    assert isinstance(answer, NoAnswer)


def test_of_two_folders_one_has_to_be_picked(tmp_path: Path) -> None:
    lay(tmp_path, {**URF, "captions/blip/v.json": {"16": "Somebody"}})
    with pytest.raises(VaaError, match="pick one by captions=FOLDER"):
        list(recorded(tmp_path).generate([query(at=16, purpose="caption")]))
    assert list(recorded(tmp_path, captions="blip").generate([query(at=16, purpose="caption")])) == ["Somebody"]
