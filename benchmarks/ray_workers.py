"""engine=ray with two single-threaded workers against one, and with one of two killed during the work.

`python -m benchmarks.ray_workers` prints both rows. The workers have loaded the model before the time is taken.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import time

import psutil
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from benchmarks.timing import Row, repeats_within
from vaa.engines.ray import RayEngine
from vaa.models.base import Model
from vaa.process import PROJECT_ROOT
from vaa.types import Answer, NoAnswer, Query, Report

REPEATS = 3
OVERRIDES = ["method=corevad", "data.videos=8", "data.seconds=80", "workers=0"]
Answers = list[Answer | NoAnswer]


def model_and_queries() -> tuple[Model, list[Query]]:
    """The built-in model, and CoReVAD's queries about eight built-in videos."""
    with initialize_config_dir(str(PROJECT_ROOT / "conf"), version_base="1.3"):
        config = compose("config", OVERRIDES)
    stages, data = (instantiate(config[part], _convert_="all") for part in ("stages", "data"))
    window, stage = stages["window"], stages["query"]
    videos = data.load().videos
    return stage.model, [query for video in videos for query in stage.queries(window(Report(video)))]


def engine(workers: int) -> RayEngine:
    return RayEngine(address=None, workers=workers, gpus=0, cpus=1, chunk=16, attempts=2)


def worker_processes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::Worker")]


def warm(ray: RayEngine, model: Model, queries: list[Query]) -> None:
    """Send queries until every worker has worked on some of them, since one may start later than the others."""
    while True:
        list(ray.answer(model, queries[:64]))
        busy = [sum(process.cpu_times()[:2]) for process in worker_processes()]
        if len(busy) == ray.workers and min(busy) > max(busy) / 3:
            return


def timed(workers: int, model: Model, queries: list[Query], kill: bool = False) -> tuple[float, Answers]:
    """The seconds and the answers; with `kill`, a worker is killed after the first answer."""
    ray = engine(workers)
    warm(ray, model, queries)
    start = time.perf_counter()
    stream = ray.answer(model, queries)
    answers = [next(stream)]
    if kill:
        os.kill(worker_processes()[0].pid, signal.SIGKILL)
    answers += stream
    seconds = time.perf_counter() - start
    ray.release(model)
    return seconds, answers


def rows() -> list[Row]:
    """The repeats alternate, so that other load on the machine affects all of them."""
    model, queries = model_and_queries()
    one, two, killed, same = [], [], [], True
    repeats = REPEATS
    while len(one) < repeats:
        start = time.perf_counter()
        first, expected = timed(1, model, queries)
        second, parallel = timed(2, model, queries)
        third, with_loss = timed(2, model, queries, kill=True)
        one.append(first)
        two.append(second)
        killed.append(third)
        same = same and expected == parallel == with_loss
        repeats = repeats_within(time.perf_counter() - start, most=REPEATS)
    ratios = [single / double for single, double in zip(one, two, strict=True)]
    ratio = statistics.median(ratios)
    return [
        Row(
            f"engine=ray, 2 single-threaded workers, {len(queries)} queries",
            "1 worker",
            f"{ratio:.2f}x ({min(ratios):.2f} to {max(ratios):.2f})",
            ">= 1.6x",
            ratio >= 1.6,
            two,
            one,
        ),
        Row(
            "the same with a worker killed after the first answer",
            "1 worker",
            "the same answers" if same else "OTHER ANSWERS",
            "nothing lost",
            same,
            killed,
            one,
        ),
    ]


if __name__ == "__main__":
    print(json.dumps([{"name": row.name, **row.as_dict()} for row in rows()], indent=1))
