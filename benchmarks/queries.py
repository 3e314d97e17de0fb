"""Questions a second with the tiny VLM on a CPU, 8 frames each: the same answers to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.timing import Row, ratio
from vaa.data.synthetic import Synthetic
from vaa.models.choosing import choose
from vaa.models.generating import Sampling, generate
from vaa.models.local import Local
from vaa.models.transformers_vlm import TransformersVLM
from vaa.readers import READERS
from vaa.stages.window import Consecutive
from vaa.tiny import prompts
from vaa.types import Question, Report

VIDEOS, MANY = 8, 320


def rows() -> list[Row]:
    catalogue = Synthetic("outputs/synthetic", "val", VIDEOS, 120.0, 10.0, 128).load()
    prompt = prompts.prompts()["verdict"]
    asked: list[Question] = []
    for video in catalogue.videos:
        segments = Consecutive(30, 8)(Report(video)).segments
        asked += [replace(prompt.question(video, segment), max_new_tokens=64) for segment in segments]
    assert len(asked) == MANY
    model = TransformersVLM(
        str(prompts.CHECKPOINTS / "vlm"), None, "float32", "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 64,
        "decord", None, "pil",
    )  # fmt: skip
    theirs = partial(singly, model._load(), asked)
    expected, found = theirs(), []
    for reader in READERS:
        ours = partial(together, replace(model, reader=reader), asked)
        assert ours() == expected
        what = f"{MANY} questions to the tiny VLM on a CPU, 8 frames, equal answers (reader={reader})"
        found.append(ratio(what, "one question a `generate`, no overlap", 4, ours, theirs, repeats=3))
    return [*found, _chosen(model, asked)]


def _chosen(model: TransformersVLM, asked: list[Question]) -> Row:
    """The same questions answered by the probability of two verdicts."""
    choices = ("```\nAnomalous scenes.", "```\nNormal scenes.")
    chosen = [replace(question, choices=choices) for question in asked]
    ours, theirs = partial(together, model, chosen), partial(singly, model._load(), chosen)
    assert all(np.abs(np.subtract(*pair)).max() < 1e-4 for pair in zip(ours(), theirs(), strict=True))
    what = f"the probability of {MANY} verdicts, as near as 1e-4 (reader={model.reader})"
    return replace(ratio(what, "one question at a time, no overlap", 1, ours, theirs, repeats=3), wanted="-")


def together(model: TransformersVLM, asked: list[Question]) -> list[Any]:
    return list(model.answer(asked))


def singly(held: Local, asked: Sequence[Question]) -> list[Any]:
    """As the authors' programs ask: the file opened for each question, a frame at a time by its number, an answer."""
    import decord

    said: list[Any] = []
    assert held.eye is not None
    for question in asked:
        reader = decord.VideoReader(str(question.video.path), num_threads=1)
        frames = [reader[number].asnumpy() for number in question.frames]
        del reader
        seen = held.place(held.eye.see(frames))
        if question.choices:
            said += choose(held, [question], seen)
        else:
            said += generate(held, [question], seen, Sampling(0.0, 1.0, 0))
    return said
