"""The loop over stages and videos; the only place where a model is asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from tqdm import tqdm

from vaa import process
from vaa.cache import AnswerCache
from vaa.engines.base import Engine
from vaa.errors import VaaError, VideoError
from vaa.stages.base import ModelStage, Stage
from vaa.types import Answer, EmbedQuery, Failure, GroundTruth, NoAnswer, Query, Report, Video

log = logging.getLogger("vaa")


@runtime_checkable
class Cache(Protocol):
    """Who knows answers: the memo on disk, or what a stream keeps of its last moments."""

    def key(self, identity: str, query: Query) -> bytes:
        """What the answer hangs on."""

    def load(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Those of the answers that are known."""

    def store(self, key: bytes, answer: Answer) -> None:
        """Keep an answer."""


@dataclass(frozen=True)
class StageStats:
    """What a stage cost: seconds, questions put to the model, answered by the memo, and the videos they were about."""

    stage: str
    seconds: float = 0.0
    asked: int = 0
    remembered: int = 0
    videos: int = 0
    embedding: bool = False


@dataclass
class RunResult:
    """All that a run found: reports, each video's report after each stage, failures, and what the stages cost.

    `start` are the reports it began with, `done` the stages it has been through.
    """

    reports: dict[str, Report]
    history: dict[str, dict[str, Report]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    steps: list[StageStats] = field(default_factory=list)
    start: Mapping[str, Report] = field(default_factory=dict)
    done: dict[str, Stage] = field(default_factory=dict)

    def fail(self, video: str, stage: str, reason: str) -> None:
        """Take a video out of the run, and say so."""
        self.reports.pop(video, None)
        self.failures.append(Failure(video, stage, reason))
        log.error("%s failed in stage '%s': %s", video, stage, reason)


def analyse(
    videos: Sequence[Video],
    truths: Mapping[str, GroundTruth],
    stages: Mapping[str, Stage],
    engine: Engine,
    cache: AnswerCache,
    before: RunResult | None = None,
) -> RunResult:
    """Run every stage over all videos before the next begins, so that one large model at a time is in memory.

    Where `before`, another run of the same videos, began with equal stages, what it found there is taken over. From
    then on this process collects garbage less often.
    """
    reports = {video.id: Report(video, truth=truths.get(video.id)) for video in videos}
    result = RunResult(reports, {video.id: {} for video in videos}, start=dict(reports))
    if before is not None:
        _take_over(before, stages, result)
    names = list(stages)
    for position, name in enumerate(names):
        if name in result.done:
            continue
        process.check_interrupted()
        stage, begun = stages[name], time.perf_counter()
        step = advance(result, name, stage, engine, cache)
        if isinstance(stage, ModelStage):
            later = [s.model for s in (stages[n] for n in names[position + 1 :]) if isinstance(s, ModelStage)]
            if stage.model not in later:
                engine.release(stage.model)
        result.steps.append(replace(step, seconds=time.perf_counter() - begun))
        result.done[name] = stage
        for video, report in result.reports.items():
            result.history[video][name] = report
    return result


def advance(result: RunResult, name: str, stage: Stage, engine: Engine, cache: Cache) -> StageStats:
    """Run one stage over the reports of an outcome; a video that it fails on is taken out."""
    if isinstance(stage, ModelStage):
        return _ask(name, stage, result, engine, cache)
    for video in _progress(list(result.reports), name, "video"):
        process.check_interrupted()
        with _guard(result, video, name):
            result.reports[video] = stage(result.reports[video])
    return StageStats(name)


def _take_over(before: RunResult, stages: Mapping[str, Stage], result: RunResult) -> None:
    """The leading stages that are equal, by name and by every field, need not be run again."""
    if before.start.keys() != result.start.keys() or any(
        (old.video, old.truth) != (result.start[id_].video, result.start[id_].truth)
        for id_, old in before.start.items()
    ):
        return
    for (name, stage), (other, done), step in zip(stages.items(), before.done.items(), before.steps, strict=False):
        if name != other or stage != done:
            break
        result.done[name] = stage
        result.steps.append(replace(step, seconds=0.0, asked=0, remembered=step.asked + step.remembered))
        result.failures += [failure for failure in before.failures if failure.stage == name]
        for failure in result.failures:
            result.reports.pop(failure.video, None)
        for video in result.reports:
            result.reports[video] = result.history[video][name] = before.history[video][name]


def _ask(name: str, stage: ModelStage, result: RunResult, engine: Engine, cache: Cache) -> StageStats:
    """Ask what the memo does not know, and let the stage absorb the answers of every video that has them all."""
    wanted: dict[str, list[bytes | Query]] = {}
    queries: dict[bytes | Query, Query] = {}
    identity = stage.model.identity
    for video, report in list(result.reports.items()):
        with _guard(result, video, name):
            asked = stage.queries(report)
            keys = [query if identity is None else cache.key(identity, query) for query in asked]
            queries.update(zip(keys, asked, strict=True))
            wanted[video] = keys
    answers: dict[Any, Answer | NoAnswer] = {}
    answers |= cache.load([key for key in queries if isinstance(key, bytes)])
    remembered = len(answers)
    missing = {key: query for key, query in queries.items() if key not in answers}
    stream = engine.answer(stage.model, list(missing.values())) if missing else iter(())
    for key, answer in zip(_progress(list(missing), name, "question"), stream, strict=True):
        answers[key] = answer
        if isinstance(key, bytes) and not isinstance(answer, NoAnswer):
            cache.store(key, answer)
    for video, keys in wanted.items():
        given = [answers[key] for key in keys]
        reason = next((answer.reason for answer in given if isinstance(answer, NoAnswer)), None)
        if reason is None:
            with _guard(result, video, name):
                result.reports[video] = stage.absorb(result.reports[video], given)
        else:
            result.fail(video, name, reason)
    embedding = any(isinstance(query, EmbedQuery) for query in queries.values())
    return StageStats(name, 0.0, len(missing), remembered, sum(map(bool, wanted.values())), embedding)


@contextmanager
def _guard(result: RunResult, video: str, name: str) -> Iterator[None]:
    """What goes wrong in one video, a defect of ours too, must not cost the others theirs."""
    try:
        yield
    except VideoError as error:
        result.fail(video, name, str(error))
    except VaaError:
        raise
    except Exception as error:
        log.debug("%s in stage '%s'", video, name, exc_info=True)
        result.fail(video, name, f"{type(error).__name__}: {error} (a defect of vaa or of its configuration)")


def _progress(items: list[Any], stage: str, unit: str) -> Any:
    """A bar with the time left on a terminal, where it takes a while; nothing elsewhere."""
    return tqdm(items, desc=stage, unit=unit, disable=None, leave=False, delay=1.0)
