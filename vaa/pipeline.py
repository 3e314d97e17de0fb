"""The loop over stages and videos; the only place where models are queried."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tqdm import tqdm

from vaa import process
from vaa.cache import AnswerCache, Cache
from vaa.embedding import SegmentKey, embed_missing, segment_vectors
from vaa.engines.base import Engine
from vaa.errors import VaaError, VideoError
from vaa.models.base import FrameEncoder, HasTimestamps, Model, WaitStats, collect_waits
from vaa.prompts.parsers import cut_at_stop_pattern
from vaa.prompts.thoughts import split_thoughts
from vaa.stages.base import ModelStage, Stage
from vaa.stages.definitions import combine
from vaa.types import (
    Answer,
    Definition,
    EmbedQuery,
    Failure,
    GenerateQuery,
    GroundTruth,
    NoAnswer,
    Query,
    Report,
    Video,
)

log = logging.getLogger("vaa")


@dataclass(frozen=True, kw_only=True)
class StageStats:
    """What a stage cost: seconds, queries to the model, answers from the cache, and the videos with queries.

    `answering`: seconds in which a local model answered queries with frames, without its loading, and `waited`: those
    of them in which it waited for frames; None where it had none. `memory`: the most main memory of the run's processes
    so far, in bytes.
    """

    stage: str
    seconds: float = 0.0
    n_queries: int = 0
    n_cached: int = 0
    n_videos: int = 0
    embedding: bool = False
    answering: float | None = None
    waited: float | None = None
    memory: int | None = None


@dataclass
class RunResult:
    """The result of a run: each video's report at the end and after every stage, failures, and the stages' costs.

    `start` are the reports it began with; `done` the stages that have run, by name.
    """

    reports: dict[str, Report]
    history: dict[str, dict[str, Report]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    stats: list[StageStats] = field(default_factory=list)
    start: Mapping[str, Report] = field(default_factory=dict)
    done: dict[str, Stage] = field(default_factory=dict)

    def fail(self, video: str, stage: str, reason: str) -> None:
        """Record a failure and leave the video out of later stages."""
        self.reports.pop(video, None)
        self.failures.append(Failure(video, stage, reason))
        log.error("%s failed in stage '%s': %s", video, stage, reason)


def analyse(
    videos: Sequence[Video],
    truths: Mapping[str, GroundTruth],
    stages: Mapping[str, Stage],
    engine: Engine,
    cache: Cache,
    previous: RunResult | None = None,
    definitions: Sequence[Definition] = (),
) -> RunResult:
    """Run each stage over all videos before the next one, so that only one large model is in memory at a time.

    Results of leading stages that equal those of `previous`, another run of the same videos, are reused. With
    `definitions` each video has a report for each of them; `combine_definitions` makes one of these.
    """
    reports = {
        key: Report(video, truth=truths.get(video.id), definition=definition)
        for video in videos
        for key, definition in definition_keys(video.id, definitions).items()
    }
    result = RunResult(reports, {key: {} for key in reports}, start=dict(reports))
    if previous is not None:
        _reuse(previous, stages, result)
    names = list(stages)
    for position, name in enumerate(names):
        if name in result.done:
            continue
        process.check_interrupted()
        stage, begin = stages[name], time.perf_counter()
        with collect_waits() as waits:
            stats = run_stage(result, name, stage, engine, cache)
        total = WaitStats.total(waits) if waits else None
        stats = replace(stats, memory=process.peak_memory())
        if total is not None:
            stats = replace(stats, answering=total.seconds, waited=total.waited)
        if isinstance(stage, ModelStage):
            later = [s.model for s in (stages[n] for n in names[position + 1 :]) if isinstance(s, ModelStage)]
            if stage.model not in later:
                engine.release(stage.model)
        result.stats.append(replace(stats, seconds=time.perf_counter() - begin))
        result.done[name] = stage
        for video, report in result.reports.items():
            result.history[video][name] = report
    return result


def definition_keys(video: str, definitions: Sequence[Definition]) -> dict[str, Definition | None]:
    """The keys of a video's reports in a RunResult: its id, or one key for each definition."""
    return {f"{video} ({each.name})": each for each in definitions} if definitions else {video: None}


def combine_definitions(result: RunResult, definitions: Sequence[Definition]) -> RunResult:
    """The result with one report for each video, combined from those of its definitions.

    A video fails where one of its definitions does; it is recorded once.
    """
    if not definitions:
        return result
    combined = RunResult({}, stats=result.stats, done=result.done)
    videos = {key: report.video.id for key, report in result.start.items()}
    for failure in result.failures:
        if videos[failure.video] not in {known.video for known in combined.failures}:
            reason = f"{failure.reason} ({failure.video})"
            combined.failures.append(Failure(videos[failure.video], failure.stage, reason))
    for video in dict.fromkeys(videos.values()):
        keys = list(definition_keys(video, definitions))
        history = combined.history[video] = {}
        for name in result.done:
            if all(name in result.history[key] for key in keys):
                history[name] = combine([result.history[key][name] for key in keys])
        if all(key in result.reports for key in keys):
            combined.reports[video] = next(reversed(history.values()), combine([result.start[key] for key in keys]))
    return combined


def run_stage(result: RunResult, name: str, stage: Stage, engine: Engine, cache: Cache) -> StageStats:
    """Run one stage over the reports of a result; a video for which it fails is recorded as a failure."""
    if isinstance(stage, ModelStage):
        return _run_model_stage(name, stage, result, engine, cache)
    for video in _progress(list(result.reports), name, "video"):
        process.check_interrupted()
        with _guard(result, video, name):
            result.reports[video] = stage(result.reports[video])
    return StageStats(stage=name)


def _reuse(previous: RunResult, stages: Mapping[str, Stage], result: RunResult) -> None:
    """Copy the results of the leading stages that have equal names and fields, if the videos are the same."""
    if previous.start.keys() != result.start.keys() or any(
        (old.video, old.truth, old.definition) != (new.video, new.truth, new.definition)
        for old, new in ((old, result.start[key]) for key, old in previous.start.items())
    ):
        return
    leading = zip(stages.items(), previous.done.items(), previous.stats, strict=False)
    for (name, stage), (other_name, other), stats in leading:
        if name != other_name or stage != other:
            break
        result.done[name] = stage
        cached = stats.n_queries + stats.n_cached
        result.stats.append(replace(stats, seconds=0.0, n_queries=0, n_cached=cached, answering=None, waited=None))
        result.failures += [failure for failure in previous.failures if failure.stage == name]
        for failure in result.failures:
            result.reports.pop(failure.video, None)
        for video in result.reports:
            result.reports[video] = result.history[video][name] = previous.history[video][name]


def _run_model_stage(name: str, stage: ModelStage, result: RunResult, engine: Engine, cache: Cache) -> StageStats:
    """Query the model where the cache has no answer; the stage absorbs the answers of each video that has all.

    Answers are cached as the model returns them, and cut at their stop pattern afterwards.
    """
    videos = {key: report.video.id for key, report in result.reports.items()}
    key_of = _key_function(stage.model, cache)
    queries: dict[_Key, Query] = {}
    keys: dict[str, list[_Key]] = {}
    for video, report in list(result.reports.items()):
        with _guard(result, video, name):
            own = stage.queries(report)
            keys[video] = [key_of(query) for query in own]
            queries.update(zip(keys[video], own, strict=True))
    answers: dict[Any, Answer | NoAnswer] = {}
    answers |= cache.load([key for key in queries if isinstance(key, bytes)])
    segments = {key: query for key, query in queries.items() if isinstance(key, SegmentKey)}
    n_embedded = 0
    if segments and isinstance(stage.model, FrameEncoder):
        n_embedded, errors = embed_missing(stage.model, segments, engine, partial(_progress, stage=name, unit="block"))
        answers |= segment_vectors(segments, errors)
    missing = {key: query for key, query in queries.items() if key not in answers}
    n_queries = len(missing) + n_embedded
    if any(report.definition for report in result.reports.values()):
        missing = _same_frames_together(missing)
    stream = engine.answer(stage.model, list(missing.values())) if missing else iter(())
    for key, answer in zip(_progress(list(missing), name, "query"), stream, strict=True):
        answers[key] = answer
        if isinstance(key, bytes) and not isinstance(answer, NoAnswer):
            cache.store(key, answer)
    for video, own_keys in keys.items():
        own_answers = [_cut(queries[key], answers[key]) for key in own_keys]
        reason = next((answer.reason for answer in own_answers if isinstance(answer, NoAnswer)), None)
        if reason is None:
            with _guard(result, video, name):
                before = result.reports[video]
                after = stage.absorb(before, own_answers)
                result.reports[video] = _count_unfinished(name, before, after, own_answers)
        else:
            result.fail(video, name, reason)
    embedding = any(isinstance(query, EmbedQuery) for query in queries.values())
    n_videos = len({videos[key] for key, own_keys in keys.items() if own_keys})
    n_cached = len(queries) - n_queries
    return StageStats(stage=name, n_queries=n_queries, n_cached=n_cached, n_videos=n_videos, embedding=embedding)


_Key = bytes | SegmentKey | Query
"""A cache key; the frames of a segment, whose vectors are cached; or the query itself if it must not be cached."""


def _key_function(model: Model, cache: Cache) -> Callable[[Query], _Key]:
    identity = model.identity  # once: it reads the checkpoint's files
    if identity is None:
        return lambda query: query
    timestamps = isinstance(model, HasTimestamps) and model.timestamps
    if not (isinstance(model, FrameEncoder) and isinstance(cache, AnswerCache)):
        return lambda query: cache.key(identity, query, timestamps)
    vectors, stride = partial(cache.frame_vectors, identity), model.stride
    return lambda query: (
        SegmentKey(vectors(query.video), query.frames[::stride])
        if isinstance(query, EmbedQuery) and query.frames
        else cache.key(identity, query)
    )


def _same_frames_together(queries: dict[_Key, Query]) -> dict[_Key, Query]:
    """The queries of several definitions in an order in which those about the same frames are adjacent.

    A model decodes and encodes the frames of adjacent queries once.
    """
    order: dict[tuple[str, tuple[int, ...]], int] = {}
    places = {key: order.setdefault((query.video.id, query.frames), len(order)) for key, query in queries.items()}
    return {key: queries[key] for key in sorted(queries, key=places.__getitem__)}


def _cut(query: Query, answer: Answer | NoAnswer) -> Answer | NoAnswer:
    """The answer with its thoughts, cut where its stop pattern matches."""
    return (
        cut_at_stop_pattern(answer, query.stop_pattern)
        if isinstance(query, GenerateQuery) and isinstance(answer, str)
        else answer
    )


def _count_unfinished(name: str, before: Report, after: Report, answers: Sequence[Answer | NoAnswer]) -> Report:
    """Count answers that end inside the model's thoughts as unparsed, also where a stage reads no scores."""
    texts = [answer for answer in answers if isinstance(answer, str)]
    unfinished = sum(not split_thoughts(text).finished for text in texts)
    if not unfinished:
        return after
    message = (
        f"{before.video.id}, stage '{name}': {unfinished} of {len(texts)} answers end inside the model's thoughts and "
        "are unparsed. Increase max_new_tokens of the prompt, switch thinking off, or start the server with its "
        "reasoning parser (vllm serve --reasoning-parser NAME)."
    )
    log.warning("%s", message)
    uncounted = max(0, unfinished - (after.n_unparsed - before.n_unparsed))
    n_answers, n_unparsed = after.n_answers + uncounted, after.n_unparsed + uncounted
    return replace(after, n_answers=n_answers, n_unparsed=n_unparsed, first_unparsed=before.first_unparsed or message)


@contextmanager
def _guard(result: RunResult, video: str, name: str) -> Iterator[None]:
    """Record an error as a failure of one video, programming errors included, so that the other videos go on."""
    try:
        yield
    except VideoError as error:
        result.fail(video, name, str(error))
    except VaaError:
        raise
    except Exception as error:
        log.debug("%s in stage '%s'", video, name, exc_info=True)
        result.fail(video, name, f"{type(error).__name__}: {error} (a defect of vaa or of its configuration)")


def _progress(items: Sequence[Any], stage: str, unit: str) -> Any:
    """A progress bar, on a terminal only and after a second."""
    return tqdm(items, desc=stage, unit=unit, disable=None, leave=False, delay=1.0)
