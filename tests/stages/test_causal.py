"""Causal runs: later segments change nothing; each result equals the last one of the video up to its segment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpu_models import cpu_encoder
from making import make_clip
from test_base import stage_classes
from test_corevad import UnusedEncoder

from vaa.errors import ConfigError, VideoError
from vaa.frame_times import FrameTimes
from vaa.stages.base import ModelStage, Neighbours, Stage
from vaa.stages.causal import CausalMethod, DelayScores
from vaa.stages.corevad import LocalClean, SoftmaxRefine
from vaa.stages.lavad import NearestSummaries
from vaa.stages.responses import HoldLastScore, InterpolateScores, ResponseScores
from vaa.stages.scores import (
    CentreWeight,
    ExpandToFrames,
    GaussianFilter,
    GaussianKernel,
    Identity,
    RelativeGaussianFilter,
    SavitzkyGolay,
)
from vaa.stages.urf import FindSuspiciousWindow
from vaa.stages.vera import RetrievalRefine, RoundScores
from vaa.stages.window import CentredWindow, ConsecutiveWindow
from vaa.types import EmbedQuery, Report, Response, ScoreTrack, Segment, Video

ENCODER = UnusedEncoder()
STAGES: Mapping[str, Stage] = {
    "kernel": GaussianKernel(size=9, sigma=5.0),
    "filter": GaussianFilter(sigma=3.0),
    "relative": RelativeGaussianFilter(relative_sigma=0.1),
    "savgol": SavitzkyGolay(size=7, order=2),
    "interpolate": InterpolateScores(digits=2),
    "clean": LocalClean(model=ENCODER, radius=1),
    "softmax": SoftmaxRefine(model=ENCODER, temperature=0.1, precision="float64"),
    "retrieve": RetrievalRefine(model=ENCODER, fraction=0.3, all_up_to=0, temperature=0.1),
    "nearest": NearestSummaries(model=ENCODER, nearest=3, temperature=0.2),
}


def make_report(n: int, seed: int = 0) -> Report:
    rng = np.random.default_rng(seed)
    video = Video("v", Path("v.mp4"), 30 * n, 30.0)
    segments = tuple(Segment(30 * k, 30 * k + 30, (30 * k, 30 * k + 9), 30 * k) for k in range(n))
    values = rng.random(n).round(2)
    responses = tuple(Response(f"whole {k}", float(v), f"description {k}") for k, v in enumerate(values))
    return Report(video, segments, responses, ScoreTrack(values, np.arange(n) * 30))


def cut(report: Report, n: int) -> Report:
    track = report.track
    assert track
    part = replace(report, segments=report.segments[:n], responses=report.responses[:n])
    return replace(part, track=ScoreTrack(track.values[:n], track.starts[:n]))


def vector(what: tuple[tuple[int, ...], str]) -> np.ndarray:
    """Of one question always the same."""
    return np.random.default_rng([*what[0], *what[1].encode()]).normal(size=8)


def run(stage: Stage, report: Report) -> Report:
    if not isinstance(stage, ModelStage):
        return stage(report)
    return stage.absorb(report, [vector((q.frames, q.text)) for q in stage.queries(report)])


def results(report: Report) -> list[tuple[float, str]]:
    assert report.track
    return [(float(v), r.text) for v, r in zip(report.track.values, report.responses, strict=True)]


@pytest.mark.parametrize("look_back", [1, 4, 100])
@pytest.mark.parametrize("name", STAGES)
def test_each_result_equals_the_last_one_of_the_video_up_to_it(name: str, look_back: int) -> None:
    report = make_report(13)
    causal = CausalMethod(look_back=look_back, delay=0.0)({name: STAGES[name]})[name]
    whole = results(run(causal, report))
    plain = HoldLastScore() if name == "interpolate" else STAGES[name]
    for k in range(13):
        first = max(0, k + 1 - look_back)
        prefix = cut(report, k + 1)
        part = replace(prefix, segments=prefix.segments[first:], responses=prefix.responses[first:])
        assert prefix.track
        part = replace(part, track=ScoreTrack(prefix.track.values[first:], prefix.track.starts[first:]))
        assert whole[k] == results(run(plain, part))[-1]


@pytest.mark.parametrize("name", STAGES)
def test_later_segments_change_nothing(name: str) -> None:
    report = make_report(12, seed=3)
    causal = CausalMethod(look_back=6, delay=0.0)({name: STAGES[name]})[name]
    whole = results(run(causal, report))
    assert all(results(run(causal, cut(report, n))) == whole[:n] for n in range(1, 12))
    if name != "interpolate":  # here all scores are parsed
        assert results(run(STAGES[name], report)) != whole


def test_every_stage_that_reads_neighbours_is_tested() -> None:
    tested = {type(stage) for stage in STAGES.values()}
    reading = {cls for cls in stage_classes().values() if _reads_neighbours(cls)}
    assert tested == reading - {HoldLastScore} | {InterpolateScores}


def _reads_neighbours(cls: type[Any]) -> bool:
    """Whether its scope is declared as Neighbours, by a constant or by a property."""
    scope = vars(cls)["scope"]
    return isinstance(scope, Neighbours | property) and cls.__module__ != "vaa.stages.causal"


def test_a_segment_that_cannot_be_refined_is_unchanged() -> None:
    report = make_report(4)
    empty = tuple(replace(response, description="" if k < 2 else "seen") for k, response in enumerate(report.responses))
    causal = CausalMethod(look_back=9, delay=0.0)(
        {"refine": SoftmaxRefine(model=ENCODER, temperature=0.1, precision="float64")}
    )["refine"]
    refined = run(causal, replace(report, responses=empty))
    assert refined.track
    assert report.track
    same = refined.track.values == report.track.values
    assert same.tolist() == [True, True, False, False]
    with pytest.raises(VideoError, match="no segment has a description"):
        run(causal, replace(report, responses=tuple(replace(r, description="") for r in report.responses)))


def test_an_unparsed_score_repeats_the_last_parsed_one() -> None:
    scores = [math.nan, 0.3, math.nan, math.nan, 0.9]
    report = replace(make_report(5), responses=tuple(Response("", score, "") for score in scores))
    track = HoldLastScore()(report).track
    assert track
    assert track.values.tolist() == [0.0, 0.3, 0.3, 0.3, 0.9]


@pytest.mark.parametrize(
    ("delay", "starts", "values"),
    [
        (0.0, [49, 65, 81, 97, 99], [0, 1, 2, 3, 4]),
        (0.5, [44, 60, 76, 92, 94, 96], [0, 1, 2, 3, 4, 6]),
        (9.0, [0, 16, 32, 48, 64, 80, 96], [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_score_takes_effect_when_it_is_known(delay: float, starts: list[int], values: list[int]) -> None:
    video = Video("v", Path("v.mp4"), 100, 10.0)
    report = CentredWindow(stride=16, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="even")(
        Report(video)
    )  # fifty frames to either side of 0, 16, ... 96
    track = ScoreTrack(np.arange(7.0), np.array([segment.at for segment in report.segments]))
    late = DelayScores(delay=delay)(replace(report, track=track)).track
    assert late
    assert late.starts.tolist() == starts
    assert late.values.tolist() == values


def test_a_delay_is_in_seconds_of_the_frames_own_times() -> None:
    times = FrameTimes(np.concatenate([np.arange(50) / 10, 50 + np.arange(50) / 10]))
    video = Video("v", Path("v.mp4"), 100, 100 / 55, times=times)
    segments = tuple(Segment(k, k + 20, (k,), k) for k in range(0, 100, 20))
    report = Report(video, segments, track=ScoreTrack(np.arange(5.0), np.arange(0, 100, 20)))
    late = DelayScores(delay=1.0)(report).track
    assert late
    assert late.starts.tolist() == [9, 29, 50, 69, 89]  # the third ends at 50.9 s, 0.9 s after a pause


def test_stages_that_need_the_whole_video_are_named_with_the_remedy() -> None:
    stages = {
        "window": ConsecutiveWindow(length=30, n_frames=8),
        "find_window": FindSuspiciousWindow(n_parts=10, min_frames=300),
        "position": CentreWeight(width=0.5),
    }
    with pytest.raises(ConfigError, match=r"find_window, position need .*: stages\.find_window=null position=none"):
        CausalMethod(look_back=300, delay=0.0)(stages)


def test_the_order_of_a_causal_method() -> None:
    stages = {
        "window": ConsecutiveWindow(length=30, n_frames=8),
        "score": ResponseScores(missing=0.0),
        "round": RoundScores(digits=1, sigmoid=False),
        "frames": ExpandToFrames(),
        "p": Identity(),
    }
    causal = CausalMethod(look_back=300, delay=1.5)(stages)
    assert list(causal) == ["window", "score", "round", "delay", "frames", "p"]
    assert causal["delay"] == DelayScores(delay=1.5)
    assert {name: causal[name] for name in stages} == stages


@pytest.mark.parametrize(("look_back", "delay"), [(0, 0.0), (1, -1.0), (1, math.inf), (1, math.nan)])
def test_invalid_values_are_refused(look_back: int, delay: float) -> None:
    with pytest.raises(ConfigError, match="look_back"):
        CausalMethod(look_back=look_back, delay=delay)


def test_embeddings_of_a_real_encoder_are_queried_once_per_segment(tmp_path: Path) -> None:
    from vaa.tiny.prompts import CHECKPOINTS

    encoder = cpu_encoder(CHECKPOINTS / "clip", batch_size=16)
    path = make_clip(tmp_path / "v.mp4", 60, size=(64, 64))
    segments = tuple(Segment(k, k + 10, (k, k + 5), k) for k in range(0, 60, 10))
    responses = tuple(Response(f"{k}", k / 6, f"a person walks {k}") for k in range(6))
    report = Report(Video("v", path, 60, 10.0), segments, responses, ScoreTrack(np.arange(6) / 6, np.arange(6) * 10))
    causal = CausalMethod(look_back=3, delay=0.0)(
        {"refine": SoftmaxRefine(model=encoder, temperature=0.05, precision="float64")}
    )["refine"]
    assert isinstance(causal, ModelStage)
    queries = causal.queries(report)
    assert len(queries) == len(set(queries)) == 12
    assert {type(query) for query in queries} == {EmbedQuery}
    answers = list(encoder.embed(queries))
    refined = causal.absorb(report, answers).track
    alone = SoftmaxRefine(model=encoder, temperature=0.05, precision="float64")
    part = replace(report, segments=segments[2:5], responses=responses[2:5])
    part = replace(part, track=ScoreTrack(np.arange(2, 5) / 6, np.arange(2, 5) * 10))
    expected = alone.absorb(part, answers[2:5] + answers[8:11]).track
    assert refined
    assert expected
    assert refined.values[4] == expected.values[-1]
