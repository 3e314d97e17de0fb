"""Batches, other processes and early stopping change no answer."""

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
from cpu_models import cpu_vlm
from making import make_clip
from queries import choose_query

from vaa import process
from vaa.models import base
from vaa.models.transformers import batching
from vaa.models.transformers.families import VisionInputs
from vaa.models.transformers.vision_features import encode_frames
from vaa.models.transformers.vlm import TransformersVLM
from vaa.prompts import parsers
from vaa.prompts.parsers import cut_at_stop_pattern
from vaa.tiny import prompts
from vaa.types import GenerateQuery, NoAnswer, Query, Video
from vaa.video import sources
from vaa.video.prefetch import decode_frames

TINY = str(prompts.CHECKPOINTS / "vlm")


def vlm(**fields: Any) -> TransformersVLM:
    return cpu_vlm(TINY, **fields)


@pytest.fixture
def queries(tmp_path: Path) -> list[Query]:
    """Queries about overlapping windows of three videos, one of which cannot be decoded."""
    clips = [make_clip(tmp_path / "a.mp4", 90), make_clip(tmp_path / "b.mp4", 60)]
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    prompt = prompts.load_prompts()["verdict"]
    result = []
    for path, length in ((clips[0], 90), (bad, 40), (clips[1], 60)):
        shown = Video(path.stem, path, length, 30.0)
        for start in range(0, length - 30, 7):
            frames = tuple(range(start, start + 30, 4))
            query = GenerateQuery(
                purpose="verdict",
                video=shown,
                at=start,
                frames=frames,
                text=prompt.text.replace("$frames\n", ""),
                max_new_tokens=8,
            )
            result.append(replace(query, max_new_tokens=24))
    return result


def text_of(answer: Any) -> str:
    assert isinstance(answer, str | NoAnswer)
    return answer if isinstance(answer, str) else f"NO ANSWER {answer.reason}"


@pytest.mark.slow
def test_other_processes_and_other_batches_give_the_same_answers(queries: list[Query]) -> None:
    one_by_one = [text_of(answer) for query in queries for answer in vlm().generate([query])]
    for fields in ({"batch_size": 3}, {"batch_size": 16}, {"batch_size": 2, "workers": 2}):
        assert [text_of(answer) for answer in vlm(**fields).generate(queries)] == one_by_one
    refused = [k for k, answer in enumerate(one_by_one) if answer.startswith("NO ANSWER")]
    assert refused == [k for k, query in enumerate(queries) if query.video.id == "bad"]


@pytest.mark.slow
def test_frames_encoded_a_few_at_a_time_have_the_same_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    loaded = vlm()._load()
    pixels, look, sizes = torch.rand(70, 3, 64, 64), loaded.model.get_image_features, list[int]()
    with torch.inference_mode():
        expected = look(pixel_values=pixels, return_dict=True).pooler_output
        monkeypatch.setattr(
            loaded.model, "get_image_features", lambda **g: sizes.append(len(g["pixel_values"])) or look(**g)
        )
        arguments = encode_frames(loaded.model, VisionInputs({"pixel_values": pixels}, (16,) * 70)).arguments(
            [3, *range(70)]
        )
    features = arguments["mm_encoder_outputs"]["image"].pooler_output
    torch.testing.assert_close(features, expected[[3, *range(70)]])
    assert sizes == [32, 32, 6]


def test_the_first_batches_are_small_where_other_processes_prepare_them(
    queries: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(batching, "_MIN_BATCHES", 0)
    monkeypatch.setattr(
        batching._BatchRunner, "answer", lambda _, batch: sizes.append(len(batch.queries)) or [""] * len(batch.queries)
    )
    good = [query for query in queries if query.video.id != "bad"][:12]
    for workers in (0, 1):
        list(vlm(batch_size=8, workers=workers).generate(good))
    assert sizes == [8, 4, 2, 4, 6]


def test_choose_queries_about_the_same_frames_stay_together_unless_memory_ran_out(
    queries: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(
        batching._BatchRunner, "answer", lambda _, batch: sizes.append(len(batch.queries)) or [""] * len(batch.queries)
    )
    three = [q for q in queries if q.video.id == "a"][:3]
    choose_queries = [choose_query(query, ("a", "b"), at=k) for query in three for k in range(5)]
    model = vlm(batch_size=6)
    list(base.answer(model, [*choose_queries, *three]))
    assert sizes == [10, 5, 3]
    model._load().batch_size_for(choose_queries[0]).reduce(10)
    list(base.answer(model, [*choose_queries, *three]))
    assert sizes[3:] == [5, 5, 5, 3]
    model.release()


@pytest.mark.slow
def test_the_time_spent_waiting_for_pixels_is_logged(queries: list[Query], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="vaa"):
        list(vlm().generate(queries[:2]))
    assert "2 queries in" in caplog.text
    assert "waiting for frames" in caplog.text


def broken_decoder(kind: str) -> Callable[..., Any]:
    """A decoder that kills or hangs its process at the video `a`."""
    frames = sources.frames

    def decode(shown: Video, *given: Any) -> Any:
        if shown.id == "a" and kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if shown.id == "a":
            time.sleep(600)
        return frames(shown, *given)

    return decode


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "hang"])
def test_a_video_that_breaks_the_decoder_costs_no_other_answer(
    queries: list[Query], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    good = [q for q in queries if q.video.id == "b"]
    bad = [replace(q, at=q.at) for q in queries if q.video.id == "a"][:3]
    expected = [text_of(answer) for answer in vlm().generate(good)]
    monkeypatch.setattr(sources, "frames", broken_decoder(kind))
    monkeypatch.setattr(process, "_decode_timeout", 5.0 if kind == "hang" else 60.0)
    monkeypatch.setattr(batching, "_MIN_BATCHES", 0)
    mixed = [*good[:2], *bad, *good[2:]]
    answers = [text_of(answer) for answer in vlm(batch_size=4, workers=1).generate(mixed)]
    assert answers[:2] + answers[5:] == expected
    how = "ended its process" if kind == "kill" else "took longer than 5 s"
    assert all(answer.startswith("NO ANSWER") and how in answer for answer in answers[2:5])


@pytest.mark.slow
def test_a_decoding_process_killed_once_costs_nothing(
    queries: list[Query], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = [q for q in queries if q.video.id != "bad"]
    expected = [text_of(answer) for answer in vlm().generate(good)]
    frames = sources.frames

    def decode(shown: Video, *given: Any) -> Any:
        if shown.id == "b" and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return frames(shown, *given)

    monkeypatch.setattr(sources, "frames", decode)
    monkeypatch.setattr(batching, "_MIN_BATCHES", 0)
    assert [text_of(answer) for answer in vlm(workers=1).generate(good)] == expected
    assert (tmp_path / "killed").exists()


def test_frames_of_overlapping_windows_are_decoded_in_one_pass(
    queries: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, frames = [], sources.frames
    monkeypatch.setattr(sources, "frames", lambda *given: passes.append(given[1]) or frames(*given))
    batch = tuple(q for q in queries if q.video.id == "a")
    decode_frames(batch, "decord")
    assert passes == [sorted({number for query in batch for number in query.frames})]


@pytest.mark.slow
def test_generation_stops_where_the_stop_pattern_matches(queries: list[Query]) -> None:
    model, query = vlm(), replace(queries[0], max_new_tokens=40)
    (whole,) = model.generate([query])
    assert isinstance(whole, str)
    assert whole.count("```") == 2
    for stop_pattern in (r"[^`]*`{3}", "```[^`]*```", r"\A\s*`", r"\w{3}", r"\."):  # any characters may end a match
        stopping = replace(query, stop_pattern=stop_pattern)
        first, other, last = model.generate([stopping, query, stopping])
        assert other == whole
        for text in (first, last):
            assert whole.startswith(str(text))
            assert cut_at_stop_pattern(str(text), stopping.stop_pattern) == cut_at_stop_pattern(
                whole, stopping.stop_pattern
            )
            assert len(str(text)) < len(whole) or cut_at_stop_pattern(whole, stopping.stop_pattern) == whole
    lengths, generate = [], model._load().model.generate

    def measured(**given: Any) -> Any:
        ids = generate(**given)
        lengths.append(ids.shape[1] - given["input_ids"].shape[1])
        return ids

    model._load().model.generate = measured
    try:
        list(model.generate([query, replace(query, stop_pattern=r"`{3}")]))
        list(model.generate([replace(query, stop_pattern=r"`{3}")]))
    finally:
        del model._load().model.generate
    assert lengths[1] < 4 < lengths[0]


@pytest.mark.parametrize(
    ("parser", "text", "rest"),
    [
        (parsers.VerdictParser(), "```\nNormal scenes.\nA dog.\n```", "\nI hope this helps."),
        (parsers.RatingParser(), "I say [0.4]", " because [0.9]"),
        (parsers.RatingParser(), "[high] [ .5 ]", " or so"),
        (parsers.JudgeScoreParser(), "{'score': 0.5}", " {'score': 1}"),
        (parsers.TagsParser(), '["a fight", "a fall"]', " and so on []"),
        (parsers.BoxesParser(), '[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.5}]', " That is [it]."),
        (parsers.BoxesParser(), "[]", " none"),
    ],
)
def test_a_truncated_answer_is_parsed_like_the_whole(parser: Any, text: str, rest: str) -> None:
    query = GenerateQuery(
        purpose="any",
        video=Video("v", Path("v"), 1, 1.0),
        at=0,
        frames=(),
        text="",
        max_new_tokens=8,
        stop_pattern=parser.stop_pattern,
    )
    assert cut_at_stop_pattern(text + rest, query.stop_pattern) == text
    for end in range(len(text)):
        assert cut_at_stop_pattern(text[:end], query.stop_pattern) == text[:end]
    cut, whole = parser(text), parser(text + rest)
    assert np.isclose(cut.score, whole.score, equal_nan=True) or isinstance(parser, parsers.BoxesParser)
    assert cut.description in whole.description
