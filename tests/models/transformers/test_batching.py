"""The fast way of asking answers as the slow one does: other processes, other batches, answers that stop early."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import make_clip

from vaa import parse, video
from vaa.models import asking, feeding
from vaa.models.families import Seen
from vaa.models.looking import looked
from vaa.models.transformers_vlm import TransformersVLM
from vaa.prompt import complete
from vaa.tiny import prompts
from vaa.types import Question, Unanswered, Video

TINY = str(prompts.CHECKPOINTS / "vlm")


def vlm(**fields: Any) -> TransformersVLM:
    model = TransformersVLM(
        TINY, None, "float32", "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 4, "decord", workers=0, resize="pil"
    )
    return replace(model, **fields)


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    """About three videos, one of which is no video: overlapping windows, in words."""
    clips = [make_clip(tmp_path / "a.mp4", 90), make_clip(tmp_path / "b.mp4", 60)]
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    prompt = prompts.prompts()["verdict"]
    asked = []
    for path, length in ((clips[0], 90), (bad, 40), (clips[1], 60)):
        shown = Video(path.stem, path, length, 30.0)
        for start in range(0, length - 30, 7):
            frames = tuple(range(start, start + 30, 4))
            question = Question("verdict", shown, start, frames, prompt.text.replace("$frames\n", ""))
            asked.append(replace(question, max_new_tokens=24))
    return asked


def said(answer: Any) -> str:
    assert isinstance(answer, str | Unanswered)
    return answer if isinstance(answer, str) else f"UNANSWERED {answer.reason}"


@pytest.mark.slow
def test_other_processes_and_other_batches_give_the_same_answers(questions: list[Question]) -> None:
    singly = [said(answer) for question in questions for answer in vlm().answer([question])]
    for fields in ({"batch_size": 3}, {"batch_size": 16}, {"batch_size": 2, "workers": 2}):
        assert [said(answer) for answer in vlm(**fields).answer(questions)] == singly
    refused = [k for k, answer in enumerate(singly) if answer.startswith("UNANSWERED")]
    assert refused == [k for k, question in enumerate(questions) if question.video.id == "bad"]


@pytest.mark.slow
def test_frames_seen_a_few_at_a_time_are_the_same_and_more_than_a_few_at_once_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    held = vlm()._load()
    pixels, look, sizes = torch.rand(70, 3, 64, 64), held.model.get_image_features, list[int]()
    with torch.inference_mode():
        expected = look(pixel_values=pixels, return_dict=True).pooler_output
        monkeypatch.setattr(
            held.model, "get_image_features", lambda **g: sizes.append(len(g["pixel_values"])) or look(**g)
        )
        given = looked(held.model, Seen({"pixel_values": pixels}, (16,) * 70)).of([3, *range(70)])
    found = given["mm_encoder_outputs"]["image"].pooler_output
    torch.testing.assert_close(found, expected[[3, *range(70)]])
    assert sizes == [32, 32, 6]


def test_the_first_batches_are_small_ones_where_other_processes_prepare_it(
    questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    monkeypatch.setattr(asking, "_WORTH", 0)
    monkeypatch.setattr(asking._Asker, "ask", lambda _, batch, __: batches.append(len(batch)) or ["said"] * len(batch))
    good = [question for question in questions if question.video.id != "bad"][:12]
    for workers in (0, 1):
        list(vlm(batch_size=8, workers=workers).answer(good))
    assert batches == [8, 4, 2, 4, 6]


def test_choices_about_the_same_frames_stay_together_unless_that_was_too_much(
    questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    monkeypatch.setattr(asking._Asker, "ask", lambda _, batch, __: batches.append(len(batch)) or ["said"] * len(batch))
    three = [q for q in questions if q.video.id == "a"][:3]
    asked = [replace(question, at=k, choices=("a", "b")) for question in three for k in range(5)]
    model = vlm(batch_size=6)
    list(model.answer([*asked, *three]))
    assert batches == [10, 5, 3]
    model._load().room[True].shrink(10)
    list(model.answer([*asked, *three]))
    assert batches[3:] == [5, 5, 5, 3]
    model.release()


@pytest.mark.slow
def test_the_time_spent_waiting_for_pixels_is_told(questions: list[Question], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="vaa"):
        list(vlm().answer(questions[:2]))
    assert "2 questions in" in caplog.text
    assert "waiting for pixels" in caplog.text


def troubled(kind: str) -> Callable[..., Any]:
    """Decoding that kills or hangs the process over the video `a`."""
    frames = video.frames

    def decode(shown: Video, *given: Any) -> Any:
        if shown.id == "a" and kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if shown.id == "a":
            time.sleep(600)
        return frames(shown, *given)

    return decode


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "hang"])
def test_a_video_that_breaks_the_decoder_costs_no_other(
    questions: list[Question], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    good = [q for q in questions if q.video.id == "b"]
    bad = [replace(q, at=q.at) for q in questions if q.video.id == "a"][:3]
    expected = [said(answer) for answer in vlm().answer(good)]
    monkeypatch.setattr(video, "frames", troubled(kind))
    monkeypatch.setattr(feeding, "PATIENCE", 2.0 if kind == "hang" else 60.0)
    monkeypatch.setattr(asking, "_WORTH", 0)
    mixed = [*good[:2], *bad, *good[2:]]
    answers = [said(answer) for answer in vlm(batch_size=4, workers=1).answer(mixed)]
    assert answers[:2] + answers[5:] == expected
    how = "ended the process" if kind == "kill" else "took longer than 2 s"
    assert all(answer.startswith("UNANSWERED") and how in answer for answer in answers[2:5])


@pytest.mark.slow
def test_a_decoding_process_killed_once_costs_nothing(
    questions: list[Question], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = [q for q in questions if q.video.id != "bad"]
    expected = [said(answer) for answer in vlm().answer(good)]
    frames = video.frames

    def decode(shown: Video, *given: Any) -> Any:
        if shown.id == "b" and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return frames(shown, *given)

    monkeypatch.setattr(video, "frames", decode)
    monkeypatch.setattr(asking, "_WORTH", 0)
    assert [said(answer) for answer in vlm(workers=1).answer(good)] == expected
    assert (tmp_path / "killed").exists()


def test_frames_of_overlapping_windows_are_decoded_in_one_pass(
    questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, frames = [], video.frames
    monkeypatch.setattr(video, "frames", lambda *given: passes.append(given[1]) or frames(*given))
    batch = tuple(q for q in questions if q.video.id == "a")
    asking.prepare(None, "decord", batch)
    assert passes == [sorted({number for question in batch for number in question.frames})]


@pytest.mark.slow
def test_an_answer_stops_where_its_contract_is_complete(questions: list[Question]) -> None:
    model, question = vlm(), replace(questions[0], max_new_tokens=40)
    (whole,) = model.answer([question])
    assert isinstance(whole, str)
    assert whole.count("```") == 2
    for until in (r"[^`]*`{3}", "```[^`]*```", r"\A\s*`"):
        cut = replace(question, until=until)
        assert list(model.answer([cut, question, cut])) == [complete(cut, whole), whole, complete(cut, whole)]
    lengths, generate = [], model._load().model.generate

    def measured(**given: Any) -> Any:
        ids = generate(**given)
        lengths.append(ids.shape[1] - given["input_ids"].shape[1])
        return ids

    model._load().model.generate = measured
    try:
        list(model.answer([question, replace(question, until=r"`{3}")]))
        list(model.answer([replace(question, until=r"`{3}")]))
    finally:
        del model._load().model.generate
    assert lengths[1] < 4 < lengths[0]


@pytest.mark.parametrize(
    ("reader", "text", "rest"),
    [
        (parse.Verdict(), "```\nNormal scenes.\nA dog.\n```", "\nI hope this helps."),
        (parse.Rating(), "I say [0.4]", " because [0.9]"),
        (parse.Rating(), "[high] [ .5 ]", " or so"),
        (parse.Score(), "{'score': 0.5}", " {'score': 1}"),
        (parse.Tags(), '["a fight", "a fall"]', " and so on []"),
        (parse.Boxes(), '[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.5}]', " That is [it]."),
        (parse.Boxes(), "[]", " none"),
    ],
)
def test_an_answer_cut_where_it_is_complete_says_the_same(reader: Any, text: str, rest: str) -> None:
    question = Question("any", Video("v", Path("v"), 1, 1.0), 0, (), "", until=reader.until)
    assert complete(question, text + rest) == text
    for end in range(len(text)):
        assert complete(question, text[:end]) == text[:end]
    cut, whole = reader(text), reader(text + rest)
    assert np.isclose(cut.score, whole.score, equal_nan=True) or isinstance(reader, parse.Boxes)
    assert cut.description in whole.description
