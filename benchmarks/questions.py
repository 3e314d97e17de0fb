"""Questions a second with the tiny VLM on a CPU, 8 frames each: the same answers to the letter."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.timing import Row, ratio
from vaa.data.synthetic import Synthetic
from vaa.models.transformers_vlm import TransformersVLM
from vaa.stages.window import Consecutive
from vaa.tiny import prompts
from vaa.types import Question, Report

MANY = 160


def rows() -> list[Row]:
    catalogue = Synthetic("outputs/synthetic", "val", 4, 120.0, 10.0, 128).load()
    prompt = prompts.prompts()["verdict"]
    asked: list[Question] = []
    for video in catalogue.videos:
        segments = Consecutive(30, 8)(Report(video)).segments
        asked += [replace(prompt.question(video, segment), max_new_tokens=64) for segment in segments]
    asked = asked[:MANY]
    model = TransformersVLM(
        str(prompts.CHECKPOINTS / "vlm"), None, "float32", "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 64,
        "decord", None, "pil",
    )  # fmt: skip
    slow = replace(model, batch_size=1, workers=0)

    def ours() -> list[object]:
        return list(model.answer(asked))

    def theirs() -> list[object]:
        return [answer for question in asked for answer in slow.answer([question])]

    assert ours() == theirs()
    what = f"{MANY} questions to the tiny VLM on a CPU, 8 frames, equal answers"
    return [ratio(what, "one question a `generate`, no overlap", 4, ours, theirs, repeats=3)]
