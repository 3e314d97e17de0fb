"""The loop over stages and videos; the only place where a model is asked."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from tqdm import tqdm

from vaa import interrupt
from vaa.engines import Engine
from vaa.memo import Memo
from vaa.stages import Asking, Stage
from vaa.types import EMBEDDING, Answer, Failure, Question, Report, Truth, Unanswered, VaaError, Video, VideoError

log = logging.getLogger("vaa")
tqdm.set_lock(threading.RLock())  # its own is shared by forked processes: one that is killed would keep it


@runtime_checkable
class Remembers(Protocol):
    """Who knows answers: the memo on disk, or what a stream keeps of its last moments."""

    def key(self, identity: str, question: Question) -> bytes:
        """What the answer hangs on."""

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Those of the answers that are known."""

    def remember(self, key: bytes, answer: Answer) -> None:
        """Keep an answer."""


@dataclass(frozen=True)
class Step:
    """What a stage cost: seconds, questions put to the model, answered by the memo, and the videos they were about."""

    stage: str
    seconds: float = 0.0
    asked: int = 0
    remembered: int = 0
    videos: int = 0
    embedding: bool = False


@dataclass
class Outcome:
    """All that a run found: reports, each video's report after each stage, failures, and what the stages cost.

    `start` are the reports it began with, `done` the stages it has been through.
    """

    reports: dict[str, Report]
    history: dict[str, dict[str, Report]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    start: Mapping[str, Report] = field(default_factory=dict)
    done: dict[str, Stage] = field(default_factory=dict)

    def fail(self, video: str, stage: str, reason: str) -> None:
        """Take a video out of the run, and say so."""
        self.reports.pop(video, None)
        self.failures.append(Failure(video, stage, reason))
        log.error("%s failed in stage '%s': %s", video, stage, reason)


def analyse(
    videos: Sequence[Video],
    truths: Mapping[str, Truth],
    stages: Mapping[str, Stage],
    engine: Engine,
    memo: Memo,
    before: Outcome | None = None,
) -> Outcome:
    """Run every stage over all videos before the next begins, so that one large model at a time is in memory.

    Where `before`, another run of the same videos, began with equal stages, what it found there is taken over. From
    then on this process collects garbage less often.
    """
    gc.set_threshold(50_000, 20, 50)  # of many small objects that stay: they need not be walked over so often
    reports = {video.id: Report(video, truth=truths.get(video.id)) for video in videos}
    outcome = Outcome(reports, {video.id: {} for video in videos}, start=dict(reports))
    if before is not None:
        _take_over(before, stages, outcome)
    names = list(stages)
    for position, name in enumerate(names):
        if name in outcome.done:
            continue
        interrupt.check()
        stage, begun = stages[name], time.perf_counter()
        step = advance(outcome, name, stage, engine, memo)
        if isinstance(stage, Asking):
            later = [s.model for s in (stages[n] for n in names[position + 1 :]) if isinstance(s, Asking)]
            if stage.model not in later:
                engine.release(stage.model)
        outcome.steps.append(replace(step, seconds=time.perf_counter() - begun))
        outcome.done[name] = stage
        for video, report in outcome.reports.items():
            outcome.history[video][name] = report
    return outcome


def advance(outcome: Outcome, name: str, stage: Stage, engine: Engine, memo: Remembers) -> Step:
    """Run one stage over the reports of an outcome; a video that it fails on is taken out."""
    if isinstance(stage, Asking):
        return _ask(name, stage, outcome, engine, memo)
    for video in _progress(list(outcome.reports), name, "video"):
        interrupt.check()
        with _guard(outcome, video, name):
            outcome.reports[video] = stage(outcome.reports[video])
    return Step(name)


def _take_over(before: Outcome, stages: Mapping[str, Stage], outcome: Outcome) -> None:
    """The leading stages that are equal, by name and by every field, need not be run again."""
    if before.start.keys() != outcome.start.keys() or any(
        (old.video, old.truth) != (outcome.start[id_].video, outcome.start[id_].truth)
        for id_, old in before.start.items()
    ):
        return
    for (name, stage), (other, done), step in zip(stages.items(), before.done.items(), before.steps, strict=False):
        if name != other or stage != done:
            break
        outcome.done[name] = stage
        outcome.steps.append(replace(step, seconds=0.0, asked=0, remembered=step.asked + step.remembered))
        outcome.failures += [failure for failure in before.failures if failure.stage == name]
        for failure in outcome.failures:
            outcome.reports.pop(failure.video, None)
        for video in outcome.reports:
            outcome.reports[video] = outcome.history[video][name] = before.history[video][name]


def _ask(name: str, stage: Asking, outcome: Outcome, engine: Engine, memo: Remembers) -> Step:
    """Ask what the memo does not know, and let the stage absorb the answers of every video that has them all."""
    wanted: dict[str, list[bytes | Question]] = {}
    questions: dict[bytes | Question, Question] = {}
    identity = stage.model.identity
    for video, report in list(outcome.reports.items()):
        with _guard(outcome, video, name):
            asked = stage.questions(report)
            keys = [question if identity is None else memo.key(identity, question) for question in asked]
            questions.update(zip(keys, asked, strict=True))
            wanted[video] = keys
    answers: dict[Any, Answer | Unanswered] = {}
    answers |= memo.recall([key for key in questions if isinstance(key, bytes)])
    remembered = len(answers)
    missing = {key: question for key, question in questions.items() if key not in answers}
    stream = engine.ask(stage.model, list(missing.values())) if missing else iter(())
    for key, answer in zip(_progress(list(missing), name, "question"), stream, strict=True):
        answers[key] = answer
        if isinstance(key, bytes) and not isinstance(answer, Unanswered):
            memo.remember(key, answer)
    for video, keys in wanted.items():
        given = [answers[key] for key in keys]
        reason = next((answer.reason for answer in given if isinstance(answer, Unanswered)), None)
        if reason is None:
            with _guard(outcome, video, name):
                outcome.reports[video] = stage.absorb(outcome.reports[video], given)
        else:
            outcome.fail(video, name, reason)
    embedding = any(question.purpose == EMBEDDING for question in questions.values())
    return Step(name, 0.0, len(missing), remembered, sum(map(bool, wanted.values())), embedding)


@contextmanager
def _guard(outcome: Outcome, video: str, name: str) -> Iterator[None]:
    """What goes wrong in one video, a defect of ours too, must not cost the others theirs."""
    try:
        yield
    except VideoError as error:
        outcome.fail(video, name, str(error))
    except VaaError:
        raise
    except Exception as error:
        log.debug("%s in stage '%s'", video, name, exc_info=True)
        outcome.fail(video, name, f"{type(error).__name__}: {error} (a defect of vaa or of its configuration)")


def _progress(items: list[Any], stage: str, unit: str) -> Any:
    """A bar with the time left on a terminal, where it takes a while; nothing elsewhere."""
    return tqdm(items, desc=stage, unit=unit, disable=None, leave=False, delay=1.0)
