from __future__ import annotations

import math
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from tqdm import tqdm

from vaa.cache import AnswerCache
from vaa.engines.base import LocalEngine
from vaa.errors import VaaError, VideoError
from vaa.pipeline import RunResult, Stage, analyse, combine_definitions
from vaa.prompts.parsers import VerdictParser
from vaa.prompts.template import Prompt
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.responses import QuerySegments
from vaa.stages.window import ConsecutiveWindow
from vaa.types import (
    Definition,
    EmbedQuery,
    Failure,
    GenerateQuery,
    NoAnswer,
    Query,
    Report,
    Response,
    ScoreTrack,
    Video,
)

Answers = Iterator[str | np.ndarray | NoAnswer]


@dataclass(frozen=True)
class Echo:
    """Answers with the question's text; `log` tells what happened to it, in order."""

    name: str = "echo"
    identity: str | None = "echo 1"
    timestamps: bool = False
    vectors: bool = False
    silent_on: str = "nothing"
    accepts_frames: bool = True
    log: list[str | tuple[str, ...]] = field(default_factory=list, compare=False)

    def generate(self, queries: Sequence[Query]) -> Answers:
        self.log.append(tuple(query.text for query in queries))
        for query in queries:
            if self.silent_on in query.text:
                yield NoAnswer("cannot be decoded")
            else:
                yield np.arange(3.0) if self.vectors else query.text.upper()

    def choose(self, queries: Sequence[Query]) -> Answers:
        return self.generate(queries)

    def embed(self, queries: Sequence[Query]) -> Answers:
        return self.generate(queries)

    def release(self) -> None:
        self.log.append("released")


@dataclass(frozen=True)
class Tell:
    """Asks every video the same `words` and its own id; a video called `broken` makes it raise `error`."""

    scope: ClassVar[Scope] = SEGMENT

    model: Echo
    words: tuple[str, ...] = ()
    own: bool = True
    error: Exception | None = None
    fails_in: str = "absorb"
    embeds: bool = False
    frames: tuple[int, ...] = ()

    def queries(self, report: Report) -> tuple[Query, ...]:
        self._fail(report, "questions")
        texts = (*self.words, report.video.id) if self.own else self.words
        if self.embeds:
            return tuple(EmbedQuery(video=report.video, at=k, text=text) for k, text in enumerate(texts))
        return tuple(
            GenerateQuery(purpose="tell", video=report.video, at=k, frames=self.frames, text=text, max_new_tokens=8)
            for k, text in enumerate(texts)
        )

    def absorb(self, report: Report, answers: Sequence[str | np.ndarray]) -> Report:
        self._fail(report, "absorb")
        responses = tuple(Response(str(answer), math.nan, "") for answer in answers)
        return replace(report, responses=report.responses + responses)

    def _fail(self, report: Report, where: str) -> None:
        if self.error and report.video.id == "broken" and self.fails_in == where:
            raise self.error


@dataclass(frozen=True)
class Count:
    scope: ClassVar[Scope] = SEGMENT

    error: Exception | None = None

    def __call__(self, report: Report) -> Report:
        if self.error and report.video.id == "broken":
            raise self.error
        return replace(report, n_answers=report.n_answers + 1)


def run(stages: dict[str, Stage], *ids: str, cache: AnswerCache | None = None) -> RunResult:
    videos = [Video(name, Path(f"{name}.mp4"), 10, 30.0) for name in ids]
    return analyse(videos, {}, stages, LocalEngine(), cache or AnswerCache(None))


def texts(result: RunResult, video: str) -> list[str]:
    return [response.text for response in result.reports[video].responses]


def test_queries_of_all_videos_are_batched_and_answers_returned_to_their_video() -> None:
    model = Echo()
    result = run({"tell": Tell(model)}, "a", "b", "c")
    assert model.log == [("a", "b", "c"), "released"]
    assert [texts(result, video) for video in "abc"] == [["A"], ["B"], ["C"]]


@pytest.mark.parametrize("identity", ["echo 1", None])
def test_equal_queries_are_sent_once(identity: str | None) -> None:
    model = Echo(identity=identity)
    result = run({"tell": Tell(model, ("same", "same"), own=False)}, "a", "b")
    # Without an identity, questions are the same only for the same video and frame.
    assert model.log[0] == (("same",) if identity else ("same",) * 4)
    assert texts(result, "a") == texts(result, "b") == ["SAME", "SAME"]
    assert result.stats[0].n_queries == (1 if identity else 4)


def test_a_second_run_sends_only_new_queries() -> None:
    cache, first, second = AnswerCache(None), Echo(), Echo()
    run({"tell": Tell(first)}, "a", "b", cache=cache)
    result = run({"tell": Tell(second)}, "b", "c", "a", cache=cache)
    assert second.log == [("c",), "released"]
    assert [texts(result, video) for video in "abc"] == [["A"], ["B"], ["C"]]
    assert (result.stats[0].n_queries, result.stats[0].n_cached) == (1, 2)


def test_a_fully_cached_run_sends_no_query() -> None:
    cache, second = AnswerCache(None), Echo()
    run({"tell": Tell(Echo())}, "a", cache=cache)
    run({"tell": Tell(second)}, "a", cache=cache)
    assert second.log == ["released"]


@pytest.mark.parametrize("identity", ["echo 2", None])
def test_another_model_or_one_without_identity_is_queried_again(identity: str | None) -> None:
    cache, second = AnswerCache(None), Echo(identity=identity)
    run({"tell": Tell(Echo())}, "a", cache=cache)
    run({"tell": Tell(second)}, "a", cache=cache)
    assert second.log[0] == ("a",)


@pytest.mark.parametrize(("timestamps", "sent"), [(True, 2), (False, 1)])
def test_a_model_that_is_shown_times_is_queried_again_at_another_rate(
    tmp_path: Path, timestamps: bool, sent: int
) -> None:
    path, model, cache = tmp_path / "v.mp4", Echo(timestamps=timestamps), AnswerCache(None)
    path.write_bytes(b"pixels")
    stages = {"tell": Tell(model, ("what?",), own=False, frames=(5,))}
    for fps in (30.0, 15.0):
        analyse([Video("v", path, 10, fps)], {}, stages, LocalEngine(), cache)
    assert model.log.count(("what?",)) == sent


def test_answers_are_cached_as_they_arrive_even_if_the_model_fails_later() -> None:
    @dataclass(frozen=True)
    class Breaks(Echo):
        def generate(self, queries: Sequence[Query]) -> Answers:
            yield "A"
            raise VaaError("out of memory")

    cache, second = AnswerCache(None), Echo()
    with pytest.raises(VaaError, match="out of memory"):
        run({"tell": Tell(Breaks())}, "a", "b", cache=cache)
    run({"tell": Tell(second)}, "a", "b", cache=cache)
    assert second.log[0] == ("b",)


def test_a_query_without_an_answer_fails_its_video_and_is_not_cached() -> None:
    cache, model = AnswerCache(None), Echo(silent_on="bad")
    result = run({"count": Count(), "tell": Tell(model, ("hello",))}, "a", "bad", "c", cache=cache)
    assert result.failures == [Failure("bad", "tell", "cannot be decoded")]
    assert list(result.reports) == ["a", "c"]
    assert texts(result, "c") == ["HELLO", "C"]
    assert list(result.history["bad"]) == ["count"]
    run({"tell": Tell(model)}, "bad", cache=cache)
    assert model.log[-2:] == [("bad",), "released"]


STAGES = {
    "shaping": lambda error: Count(error),
    "questions": lambda error: Tell(Echo(), error=error, fails_in="questions"),
    "absorb": lambda error: Tell(Echo(), error=error, fails_in="absorb"),
}


@pytest.mark.parametrize("where", STAGES)
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (VideoError("clip.mp4: damaged"), "clip.mp4: damaged"),
        (ValueError("3 is not 4"), "ValueError: 3 is not 4 (a defect of vaa or of its configuration)"),
    ],
    ids=["video error", "defect"],
)
def test_a_failing_video_is_named_and_the_others_continue(where: str, error: Exception, reason: str) -> None:
    result = run({"here": STAGES[where](error), "count": Count()}, "a", "broken", "c")
    assert result.failures == [Failure("broken", "here", reason)]
    assert [report.n_answers for report in result.reports.values()] == [1 + (where == "shaping")] * 2
    assert "broken" not in result.reports


@pytest.mark.parametrize("where", STAGES)
def test_other_errors_end_the_run(where: str) -> None:
    with pytest.raises(VaaError, match="wrong order"):
        run({"here": STAGES[where](VaaError("wrong order"))}, "a", "broken")


def test_a_video_file_that_is_missing_fails_its_video(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Look(Tell):
        def queries(self, report: Report) -> tuple[Query, ...]:
            return (
                GenerateQuery(purpose="look", video=report.video, at=0, frames=(0,), text="what?", max_new_tokens=8),
            )

    (tmp_path / "there.mp4").write_bytes(b"pixels")
    videos = [Video(name, tmp_path / f"{name}.mp4", 10, 30.0) for name in ("there", "gone")]
    result = analyse(videos, {}, {"look": Look(Echo())}, LocalEngine(), AnswerCache(None))
    assert list(result.reports) == ["there"]
    assert result.failures[0].video == "gone"
    assert "gone.mp4" in result.failures[0].reason


def test_a_model_is_released_after_the_last_stage_that_needs_it_and_not_before() -> None:
    log: list[str | tuple[str, ...]] = []
    run(
        {
            "one": Tell(Echo("vlm", "vlm", log=log), ("1",), own=False),
            "two": Tell(Echo("clip", "clip", log=log), ("2",), own=False),
            "three": Tell(Echo("vlm", "vlm", log=log), ("3",), own=False),  # equal, not the same object
            "count": Count(),
        },
        "a",
    )
    assert log == [("1",), ("2",), "released", ("3",), "released"]


def test_every_stage_runs_over_all_videos_before_the_next_and_its_report_is_stored() -> None:
    result = run({"one": Count(), "tell": Tell(Echo()), "two": Count()}, "a", "b")
    assert [step.stage for step in result.stats] == ["one", "tell", "two"]
    assert list(result.history["a"]) == ["one", "tell", "two"]
    assert [report.n_answers for report in result.history["a"].values()] == [1, 1, 2]
    assert [len(report.responses) for report in result.history["a"].values()] == [0, 1, 1]
    assert result.history["a"]["two"] is result.reports["a"]


@pytest.mark.parametrize("embeds", [True, False])
def test_stats_distinguish_embeddings_from_answers(embeds: bool) -> None:
    cache = AnswerCache(None)
    for n_queries in (1, 0):  # the second time from the cache
        (step,) = run({"tell": Tell(Echo(vectors=True), embeds=embeds)}, "a", cache=cache).stats
        assert (step.embedding, step.n_queries, step.n_cached) == (embeds, n_queries, 1 - n_queries)


def test_no_queries_and_no_videos_are_valid() -> None:
    model = Echo()
    assert texts(run({"tell": Tell(model, own=False)}, "a"), "a") == []
    assert run({"tell": Tell(model)}).reports == {}
    assert model.log == ["released", "released"]


def test_leading_stages_equal_to_the_previous_run_are_reused() -> None:
    """The leading stages that are equal are not run again; what differs, and all after it, is."""
    model, log = Echo(), []

    @dataclass(frozen=True)
    class Mark:
        scope: ClassVar[Scope] = SEGMENT

        text: str

        def __call__(self, report: Report) -> Report:
            log.append(self.text)
            if self.text == "breaks" and report.video.id == "b":
                raise VideoError("broken")
            return replace(report, tags=report.tags + self.text)

    videos = [Video(id_, Path("v"), 1, 1.0) for id_ in "ab"]
    stages = {"tell": Tell(model), "mark": Mark("breaks"), "last": Mark("x")}
    first = analyse(videos, {}, stages, LocalEngine(), AnswerCache(None))
    for other, expected in (
        (stages, []),
        ({**stages, "last": Mark("y")}, ["y"]),
        ({"tell": Tell(model), "mark": Mark("z"), "last": Mark("x")}, ["z", "z", "x", "x"]),
        ({"tell again": Tell(model), "mark": Mark("breaks"), "last": Mark("x")}, ["breaks", "breaks", "x"]),
    ):
        log.clear()
        model.log.clear()
        alone = analyse(videos, {}, other, LocalEngine(), AnswerCache(None))
        log.clear()
        model.log.clear()
        result = analyse(videos, {}, other, LocalEngine(), AnswerCache(None), first)
        assert log == expected
        assert bool(model.log) == ("tell again" in other)
        assert repr((result.reports, result.history)) == repr((alone.reports, alone.history))
        assert result.failures == alone.failures
        assert [step.stage for step in result.stats] == list(other)
        counts = [(step.n_queries, step.n_cached) for step in result.stats if step.stage == "tell"]
        assert counts == ([(0, 2)] if "tell" in other else [])


@pytest.mark.parametrize("other", [[], [Video("a", Path("v"), 2, 1.0)], [Video("c", Path("v"), 1, 1.0)]])
def test_nothing_is_reused_from_other_videos(other: list[Video]) -> None:
    model = Echo()
    stages = {"tell": Tell(model)}
    before = analyse(other, {}, stages, LocalEngine(), AnswerCache(None))
    model.log.clear()
    analyse([Video("a", Path("v"), 1, 1.0)], {}, stages, LocalEngine(), AnswerCache(None), before)
    assert model.log[0] == ("a",)


def test_a_killed_process_does_not_keep_the_lock_of_the_progress_bar() -> None:
    def drawing() -> None:
        tqdm.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=drawing)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert tqdm.get_lock().acquire(timeout=1.0)
    tqdm.get_lock().release()


def test_raw_answers_are_cached_and_cut_at_the_stop_pattern_for_the_stage() -> None:
    @dataclass(frozen=True)
    class Stopping(Tell):
        def queries(self, report: Report) -> tuple[Query, ...]:
            return tuple(replace(query, stop_pattern=r"A\.") for query in super().queries(report))

    cache = AnswerCache(None)
    for _ in range(2):  # queried, then from the cache
        assert texts(run({"tell": Stopping(Echo(), words=("a. b",), own=False)}, "v", cache=cache), "v") == ["A."]
    ((stored,),) = cache._db.execute("SELECT answer FROM answers").fetchall()
    assert stored == "A. B"


def test_thoughts_are_cached_with_the_answer_and_never_cut() -> None:
    @dataclass(frozen=True)
    class Stopping(Tell):
        def queries(self, report: Report) -> tuple[Query, ...]:
            return tuple(replace(query, stop_pattern=r"A\.") for query in super().queries(report))

    cache, words = AnswerCache(None), ("<think>a. no</think>b a. c", "a.</think>a. b", "<think>a. b")
    result = run({"tell": Stopping(Echo(), words=words, own=False)}, "v", cache=cache)
    assert texts(result, "v") == ["<THINK>A. NO</THINK>B A.", "A.</THINK>A.", "<THINK>A. B"]
    stored = {answer for (answer,) in cache._db.execute("SELECT answer FROM answers")}
    assert stored == {word.upper() for word in words}


def test_an_answer_that_ends_inside_thoughts_is_unparsed_in_every_stage(caplog: pytest.LogCaptureFixture) -> None:
    stage = Tell(Echo(), words=("<think>a calm street", "<think>b</think>c"), own=False)
    report = run({"tell": stage}, "v").reports["v"]
    assert (report.n_answers, report.n_unparsed) == (1, 1)
    (message,) = (record.getMessage() for record in caplog.records)
    assert report.first_unparsed == message
    for hint in ("v, stage 'tell': 1 of 2", "max_new_tokens", "--reasoning-parser"):
        assert hint in message

    @dataclass(frozen=True)
    class Counting(Tell):
        def absorb(self, report: Report, answers: Sequence[str | np.ndarray]) -> Report:
            return replace(super().absorb(report, answers), n_answers=2, n_unparsed=1)

    counted = run({"tell": Counting(Echo(), words=stage.words, own=False)}, "v").reports["v"]
    assert (counted.n_answers, counted.n_unparsed) == (2, 1)


@dataclass(frozen=True)
class Question:
    """Asks about the frames 0 and 1 of a video, with the report's definition in the text; a long answer scores high."""

    scope: ClassVar[Scope] = SEGMENT

    model: Echo

    def queries(self, report: Report) -> tuple[Query, ...]:
        words = report.definition.wording if report.definition else ""
        return tuple(
            GenerateQuery(purpose="q", video=report.video, at=k, frames=(k,), text=f"{k} {words}", max_new_tokens=8)
            for k in (0, 1)
        )

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        values = np.array([len(answer) for answer in answers], dtype=np.float64)
        responses = tuple(Response(answer, len(answer), "") for answer in answers)
        return replace(report, responses=responses, track=ScoreTrack(values, np.arange(2)))


def test_definitions_are_asked_together_about_the_same_frames_and_combined_into_one_report() -> None:
    model, fire, fall = (
        Echo(identity=None),
        Definition(name="f", wording="fire"),
        Definition(name="l", wording="a long fall"),
    )
    videos = [Video(name, Path(f"{name}.mp4"), 2, 30.0) for name in ("a", "b")]
    stages: dict[str, Stage] = {"ask": Question(model)}
    raw = analyse(videos, {}, stages, LocalEngine(), AnswerCache(None), definitions=[fire, fall])
    result = combine_definitions(raw, [fire, fall])
    assert model.log[0] == ("0 fire", "0 a long fall", "1 fire", "1 a long fall") * 2
    assert list(result.reports) == ["a", "b"]
    assert [response.text for response in result.reports["a"].responses] == ["0 A LONG FALL", "1 A LONG FALL"]
    assert [each.name for each in result.reports["a"].definition_tracks] == ["f", "l"]
    assert result.reports["a"] is result.history["a"]["ask"]
    assert result.stats[0].n_videos == 2


def test_a_video_fails_once_if_one_of_its_definitions_does() -> None:
    model, words = (
        Echo(identity=None, silent_on="fire"),
        [Definition(name=name, wording=name) for name in ("fire", "fall", "fires")],
    )
    stages: dict[str, Stage] = {"ask": Question(model)}
    videos = [Video("a", Path("a.mp4"), 2, 30.0)]
    result = analyse(videos, {}, stages, LocalEngine(), AnswerCache(None), definitions=words)
    combined = combine_definitions(result, words)
    assert combined.reports == {}
    assert [(failure.video, failure.stage) for failure in combined.failures] == [("a", "ask")]


def test_windows_of_another_length_ask_only_about_other_frames(clip: Path) -> None:
    """A query about the same frames with the same text has the same key, whatever its segment is."""
    model, cache, asked = Echo(), AnswerCache(None), []
    prompt = Prompt(
        purpose="verdict",
        system="",
        text="$frames\nWhat?",
        definition_text=None,
        file=None,
        system_file=None,
        placeholders=None,
        max_new_tokens=8,
        parser=VerdictParser(),
    )
    for length in (8, 4, 16):
        stages = {
            "window": ConsecutiveWindow(length=length, n_frames=1),
            "query": QuerySegments(model=model, prompt=prompt),
        }
        result = analyse([Video("clip", clip, 24, 10.0)], {}, stages, LocalEngine(), cache)
        asked.append((result.stats[-1].n_queries, result.stats[-1].n_cached))
    assert asked == [(3, 0), (3, 3), (0, 2)]  # first frames: 0 8 16, 0 4 8 ... 20, 0 16
