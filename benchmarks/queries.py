"""Queries per second of the tiny VLM on a CPU, 8 frames each, with identical answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.timing import ROW_SECONDS, Row, clock, ratio
from vaa.data.synthetic import SyntheticDataset
from vaa.generation import GREEDY
from vaa.models.base import answer
from vaa.models.transformers.choices import choose
from vaa.models.transformers.generation import generate
from vaa.models.transformers.loaded_model import LoadedModel
from vaa.models.transformers.vlm import TransformersVLM
from vaa.stages.window import ConsecutiveWindow
from vaa.tiny import prompts
from vaa.tiny.measure import tiny_vlm
from vaa.types import ChatQuery, ChooseQuery, GenerateQuery, Report
from vaa.video.decoders import DECODERS

N_VIDEOS, MOST, FEWEST = 8, 320, 96
"""Videos, and queries: as many as can be answered one by one in a third of a row's time."""


def rows() -> list[Row]:
    dataset = SyntheticDataset(
        cache_dir="outputs/cache/synthetic", root=None, split="val", videos=N_VIDEOS, seconds=120.0, fps=10.0, size=128
    ).load()
    prompt = prompts.load_prompts()["verdict"]
    queries: list[GenerateQuery] = []
    for video in dataset.videos:
        segments = ConsecutiveWindow(length=30, n_frames=8)(Report(video)).segments
        queries += [replace(prompt.query(video, segment), max_new_tokens=64) for segment in segments]
    assert len(queries) == MOST
    model = tiny_vlm(str(prompts.CHECKPOINTS / "vlm"), batch_size=64)
    one_by_one(model._load(), queries[:2])
    alone = clock(lambda: one_by_one(model._load(), queries[2:10])) / 8
    queries = queries[: max(FEWEST, min(MOST, int(ROW_SECONDS / 3 / alone)))]
    theirs = partial(one_by_one, model._load(), queries)
    results = []
    seconds, expected = timed(theirs)
    for decoder in DECODERS:
        ours = partial(in_batches, replace(model, decoder=decoder), queries)
        our_seconds, answers = timed(ours)
        assert answers == expected
        what = f"{len(queries)} queries to the tiny VLM on a CPU, 8 frames, equal answers (decoder={decoder})"
        reference = "one query per `generate`, no overlap"
        results.append(ratio(what, reference, 4, ours, theirs, repeats=3, warm=seconds + our_seconds))
    return [*results, _choices(model, queries)]


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def _choices(model: TransformersVLM, queries: Sequence[GenerateQuery]) -> Row:
    """The same queries answered by the probabilities of two verdicts."""
    choices = ("```\nAnomalous scenes.", "```\nNormal scenes.")
    choose_queries = [
        ChooseQuery(
            purpose=q.purpose, video=q.video, at=q.at, frames=q.frames, text=q.text, system=q.system, choices=choices
        )
        for q in queries
    ]
    ours, theirs = partial(in_batches, model, choose_queries), partial(one_by_one, model._load(), choose_queries)
    (our_seconds, answers), (seconds, expected) = timed(ours), timed(theirs)
    assert all(np.abs(np.subtract(*pair)).max() < 1e-4 for pair in zip(answers, expected, strict=True))
    what = f"the probability of {len(queries)} verdicts, within 1e-4 (decoder={model.decoder})"
    warm = our_seconds + seconds
    return replace(ratio(what, "one query at a time, no overlap", 1, ours, theirs, repeats=3, warm=warm), required="-")


def in_batches(model: TransformersVLM, queries: Sequence[ChatQuery]) -> list[Any]:
    return list(answer(model, queries))


def one_by_one(loaded: LoadedModel, queries: Sequence[ChatQuery]) -> list[Any]:
    """Like the authors' programs: the file is opened for each query, then frames are decoded one at a time."""
    import decord

    answers: list[Any] = []
    assert loaded.frame_processor is not None
    for query in queries:
        decoder = decord.VideoReader(str(query.video.path), num_threads=1)
        frames = [decoder[number].asnumpy() for number in query.frames]
        del decoder
        inputs = loaded.to_device(loaded.frame_processor.prepare(frames))
        if isinstance(query, ChooseQuery):
            answers += choose(loaded, [query], inputs)
        else:
            answers += generate(loaded, [query], inputs, GREEDY)
    return answers
