from __future__ import annotations

import json
from pathlib import Path

import pytest
from making import recorded_model

from vaa.errors import ConfigError, DataError
from vaa.models.recorded import RecordedModel
from vaa.types import GenerateQuery, NoAnswer, Query, Video

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


def write(folder: Path, content: object = ANSWERS, name: str = "VLM_responses_LRC_ucf.json") -> RecordedModel:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    model: RecordedModel = recorded_model(folder)
    return model


def test_answers_are_looked_up_by_video_and_frame_without_the_video(tmp_path: Path) -> None:
    model = write(tmp_path)
    assert list(model.generate([query(at=at) for at in (60, 0, 30)])) == [ANSWERS["v"][k] for k in (2, 0, 1)]
    assert model.identity is None


@pytest.mark.parametrize(
    ("unrecorded", "reason"),
    [
        (query("x"), "VLM_responses_LRC_ucf.json has no answers"),
        (query("w"), "VLM_responses_LRC_ucf.json has no answers"),
        (query(at=90), "VLM_responses_LRC_ucf.json ends before"),
    ],
)
def test_a_query_without_a_recorded_answer_has_no_answer(tmp_path: Path, unrecorded: Query, reason: str) -> None:
    (answer, other) = write(tmp_path).generate([unrecorded, query()])
    assert isinstance(answer, NoAnswer)
    assert answer.reason.startswith(reason)
    assert other == ANSWERS["v"][0]


@pytest.mark.parametrize(
    ("unsupported", "message"),
    [(query(at=16), "one answer per 30 frames, none at frame 16"), (query(purpose="poem"), "'poem'")],
)
def test_a_query_that_no_recorded_answer_fits_ends_the_run(tmp_path: Path, unsupported: Query, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(write(tmp_path).generate([unsupported]))


def test_one_of_several_files_has_to_be_chosen(tmp_path: Path) -> None:
    write(tmp_path)
    model = write(tmp_path, {"v": ["other"]}, "VLM_responses_LRC_xd.json")
    with pytest.raises(ConfigError, match=r"2 files match.*VLM_responses_LRC_ucf, VLM_responses_LRC_xd"):
        list(model.generate([query()]))
    assert list(recorded_model(model.root, verdict="VLM_responses_LRC_xd").generate([query()])) == ["other"]


@pytest.mark.parametrize("content", ["{half a fi", ["a list"]], ids=["damaged", "list"])
def test_a_file_with_another_layout_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(DataError, match=r"VLM_responses_LRC_ucf\.json"):
        list(write(tmp_path, content).generate([query()]))


def test_missing_files_and_folders_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 files match"):
        list(recorded_model(tmp_path).generate([query()]))
    with pytest.raises(DataError, match="no such folder"):
        list(recorded_model(tmp_path / "nowhere").generate([query()]))


def write_files(root: Path, files: dict[str, object]) -> RecordedModel:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    model: RecordedModel = recorded_model(root)
    return model


URF = {
    "captions/llama/v.json": {"0": "A man walks", "16": "A man runs"},
    "scores/llama/v.mp4.json": {"0": 0.1, "16": 0.25},
    "scores/llama/suspicious_part_phrases.json": {"v": "[running]"},
    "refined_scores/v.json": {"0": 0.0, "16": 1.0},
}


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [("caption", "A man runs"), ("rating", "[0.25]"), ("rerating", "[1.0]"), ("tags", "[running]")],
)
def test_answers_in_urfs_files_are_looked_up_by_purpose_and_frame(tmp_path: Path, purpose: str, expected: str) -> None:
    assert list(write_files(tmp_path, URF).generate([query(at=16, purpose=purpose)])) == [expected]


LAVAD = {
    "captions/raw/blip/v.json": {"0": "a man", "1": "a man runs"},
    "captions/summary/llama/v.json": {"0": "A man walks.", "16": "A man runs."},
    "scores/raw/llama/v.json": {"0": 0.1, "16": 0.3},
    "scores/refined/llama/v.json": {"0": 0.2, "16": 0.2},
}


def test_lavads_captions_summaries_and_scores_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    write_files(tmp_path, LAVAD)
    vlm = recorded_model(tmp_path, captions="raw/blip")
    llm = recorded_model(tmp_path, captions="summary/llama", scores="raw/llama")
    assert list(vlm.generate([query(at=1, purpose="caption")])) == ["a man runs"]
    assert list(llm.generate([query(at=16, purpose="summary")])) == ["A man runs."]
    assert list(llm.generate([query(at=16, purpose="rating")])) == ["[0.3]"]


VERA = {"0": {"start": 0.0, "end": 90, "score": 1}, "16": {"start": 0, "end": 90, "score": 0.0}, "32": {"score": 0.5}}


def test_veras_scores_are_verdicts_of_windows(tmp_path: Path) -> None:
    write_files(tmp_path, {"segment_level_score/v.json": VERA})
    model = recorded_model(tmp_path, verdict="segment_level_score")
    first, second, neither, absent, unknown = model.generate(
        [query(at=0), query(at=16), query(at=32), query(at=48), query("w")]
    )
    assert (first, second) == ("[1]", "[0]")
    assert neither == NoAnswer("segment_level_score/ has the score 0.5 for frame 32, which is not 0 or 1")
    assert absent == NoAnswer("v.json has no answer for frame 48")
    assert unknown == NoAnswer("segment_level_score/ has no w.json")


@pytest.mark.parametrize("name", ["v", "v.mp4", "Abuse/v", "Abuse/v.mp4"])
def test_tags_are_found_under_the_names_that_indexes_have(tmp_path: Path, name: str) -> None:
    model = write_files(tmp_path, {"scores/suspicious_part_phrases.json": {name: "[running]"}})
    assert list(model.generate([query(purpose="tags")])) == ["[running]"]


@pytest.mark.parametrize("purpose", ["caption", "rating", "rerating", "tags"])
def test_a_query_that_urf_did_not_record_has_no_answer(tmp_path: Path, purpose: str) -> None:
    (answer,) = write_files(tmp_path, URF).generate([query("unknown", 16, purpose)])
    assert isinstance(answer, NoAnswer)


def test_one_of_two_folders_has_to_be_chosen(tmp_path: Path) -> None:
    write_files(tmp_path, {**URF, "captions/blip/v.json": {"16": "Somebody"}})
    with pytest.raises(ConfigError, match="choose one by captions=FOLDER"):
        list(recorded_model(tmp_path).generate([query(at=16, purpose="caption")]))
    assert list(recorded_model(tmp_path, captions="blip").generate([query(at=16, purpose="caption")])) == ["Somebody"]


def test_answers_are_found_under_names_without_the_hash(tmp_path: Path) -> None:
    answers = {"v=a__1_label_A": ["Normal scenes."], "w": ["Normal scenes."], "w#": ["Anomalous scenes."]}
    model = write(tmp_path, answers)
    assert list(model.generate([query("v=a__#1_label_A"), query("w#")])) == ["Normal scenes.", "Anomalous scenes."]
    for name, folder in (("v__1.json", "captions/x"), ("v__1.mp4.json", "captions/x")):
        root = tmp_path / name
        (root / folder).mkdir(parents=True)
        (root / folder / name).write_text('{"0": "A dog."}')
        assert list(recorded_model(root).generate([query("v__#1", purpose="caption")])) == ["A dog."]


def test_all_videos_of_xd_violence_are_found_as_corevad_names_them(tmp_path: Path, shared: Path) -> None:
    """CoReVAD's answers for XD-Violence are too large for the shared files, so these are made up."""
    index = shared / "recorded/urf/xd_violence/annotations/test.txt"
    ids = [line.split()[0] for line in index.read_text().splitlines()]
    model = write(tmp_path, {id_.replace("#", ""): [f"Normal scenes. {id_}"] for id_ in ids})
    assert len(ids) == 800
    assert list(model.generate([query(id_) for id_ in ids])) == [f"Normal scenes. {id_}" for id_ in ids]


def test_boxes_are_mapped_from_the_resized_frame_by_the_sizes_of_both(tmp_path: Path) -> None:
    mapped = recorded_model(tmp_path, resized_size=[308, 252], frame_size=[320, 240])
    assert mapped.to_frame(query().video, (0.0, 126.0, 308.0, 252.0)) == pytest.approx((0.0, 120.0, 320.0, 240.0))
    assert recorded_model(tmp_path).to_frame(query().video, (1.0, 2.0, 3.0, 4.0)) == (1.0, 2.0, 3.0, 4.0)
    for sizes in ({"resized_size": [308, 252]}, {"resized_size": [308], "frame_size": [320, 240]}):
        with pytest.raises(ConfigError, match="give both"):
            recorded_model(tmp_path, **sizes)
