"""engine=ray with two single-threaded workers against one, and with one of two killed on the way.

`python -m benchmarks.ray_workers` prints both rows. Workers are up and have the model when a clock starts.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from pathlib import Path

import psutil
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from benchmarks.timing import Row
from vaa.engines.ray import RayEngine
from vaa.models.base import Model
from vaa.types import Answer, NoAnswer, Query, Report

HOUSE = Path(__file__).parents[1]
REPEATS = 3
OVERRIDES = ["method=corevad", "data.videos=12", "data.seconds=80", "workers=0"]
Answers = list[Answer | NoAnswer]


def asked() -> tuple[Model, list[Query]]:
    """CoReVAD's questions to the built-in model about twelve built-in videos."""
    with initialize_config_dir(str(HOUSE / "conf"), version_base="1.3"):
        parts = instantiate(compose("config", OVERRIDES), _convert_="all")
    window, ask = parts["stages"]["window"], parts["stages"]["ask"]
    videos = parts["data"].load().videos
    return ask.model, [query for video in videos for query in ask.queries(window(Report(video)))]


def engine(workers: int) -> RayEngine:
    return RayEngine(address=None, workers=workers, gpus=0, cpus=1, chunk=16, attempts=2)


def actors() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::Worker")]


def warm(ray: RayEngine, model: Model, queries: list[Query]) -> None:
    """Until every worker has answered: where one is slow to start, the others are done without it."""
    while True:
        list(ray.answer(model, queries[:64]))
        busy = [sum(process.cpu_times()[:2]) for process in actors()]
        if len(busy) == ray.workers and min(busy) > max(busy) / 3:
            return


def timed(workers: int, model: Model, queries: list[Query], kill: bool = False) -> tuple[float, Answers]:
    """Seconds, and the answers; with `kill`, a worker ends after the first of them."""
    ray = engine(workers)
    warm(ray, model, queries)
    began = time.perf_counter()
    stream = ray.answer(model, queries)
    answers = [next(stream)]
    if kill:
        os.kill(actors()[0].pid, signal.SIGKILL)
    answers += stream
    seconds = time.perf_counter() - began
    ray.release(model)
    return seconds, answers


def rows() -> list[Row]:
    """In turns, so that what else the machine does falls on all of them."""
    model, queries = asked()
    one, two, killed, same = [], [], [], True
    for _ in range(REPEATS):
        first, expected = timed(1, model, queries)
        second, there = timed(2, model, queries)
        third, survived = timed(2, model, queries, kill=True)
        one.append(first)
        two.append(second)
        killed.append(third)
        same = same and expected == there == survived
    ratios = [alone / both for alone, both in zip(one, two, strict=True)]
    ratio = statistics.median(ratios)
    asked_for = f"{len(queries)} questions"
    return [
        Row(
            f"engine=ray, 2 single-threaded workers, {asked_for}",
            "1 worker",
            f"{ratio:.2f}x ({min(ratios):.2f} to {max(ratios):.2f})",
            ">= 1.6x",
            ratio >= 1.6,
            two,
            one,
        ),
        Row(
            "the same with a worker killed after the first answers",
            "1 worker",
            "the same answers" if same else "OTHER ANSWERS",
            "nothing lost",
            same,
            killed,
            one,
        ),
    ]


if __name__ == "__main__":
    print(json.dumps([{"name": row.name, **row.told()} for row in rows()], indent=1))
