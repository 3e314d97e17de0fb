"""Questions a second with the tiny VLM on a CPU, 8 frames each: the same answers to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.timing import Row, ratio
from vaa.data.synthetic import SyntheticDataset
from vaa.models.transformers.choices import choose
from vaa.models.transformers.generation import GenerationConfig, generate
from vaa.models.transformers.loaded import LoadedModel
from vaa.models.transformers.vlm import TransformersVLM
from vaa.stages.window import ConsecutiveWindow
from vaa.tiny import prompts
from vaa.types import Query, Report
from vaa.video.decoders import DECODERS

VIDEOS, MANY = 8, 320


def rows() -> list[Row]:
    dataset = SyntheticDataset(
        root="outputs/synthetic", split="val", videos=VIDEOS, seconds=120.0, fps=10.0, size=128
    ).load()
    prompt = prompts.load_prompts()["verdict"]
    asked: list[Query] = []
    for video in dataset.videos:
        segments = ConsecutiveWindow(length=30, n_frames=8)(Report(video)).segments
        asked += [replace(prompt.query(video, segment), max_new_tokens=64) for segment in segments]
    assert len(asked) == MANY
    model = TransformersVLM(
        str(prompts.CHECKPOINTS / "vlm"), None, "float32", "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 64,
        "decord", None, "pil",
    )  # fmt: skip
    theirs = partial(singly, model._load(), asked)
    expected, found = theirs(), []
    for decoder in DECODERS:
        ours = partial(together, replace(model, decoder=decoder), asked)
        assert ours() == expected
        what = f"{MANY} questions to the tiny VLM on a CPU, 8 frames, equal answers (decoder={decoder})"
        found.append(ratio(what, "one question a `generate`, no overlap", 4, ours, theirs, repeats=3))
    return [*found, _chosen(model, asked)]


def _chosen(model: TransformersVLM, asked: list[Query]) -> Row:
    """The same questions answered by the probability of two verdicts."""
    choices = ("```\nAnomalous scenes.", "```\nNormal scenes.")
    chosen = [replace(query, choices=choices) for query in asked]
    ours, theirs = partial(together, model, chosen), partial(singly, model._load(), chosen)
    assert all(np.abs(np.subtract(*pair)).max() < 1e-4 for pair in zip(ours(), theirs(), strict=True))
    what = f"the probability of {MANY} verdicts, as near as 1e-4 (decoder={model.decoder})"
    return replace(ratio(what, "one question at a time, no overlap", 1, ours, theirs, repeats=3), required="-")


def together(model: TransformersVLM, asked: list[Query]) -> list[Any]:
    return list(model.generate(asked))


def singly(held: LoadedModel, asked: Sequence[Query]) -> list[Any]:
    """As the authors' programs ask: the file opened for each question, a frame at a time by its number, an answer."""
    import decord

    said: list[Any] = []
    assert held.eye is not None
    for query in asked:
        decoder = decord.VideoReader(str(query.video.path), num_threads=1)
        frames = [decoder[number].asnumpy() for number in query.frames]
        del decoder
        seen = held.place(held.eye.see(frames))
        if query.choices:
            said += choose(held, [query], seen)
        else:
            said += generate(held, [query], seen, GenerationConfig(0.0, 1.0, 0))
    return said
