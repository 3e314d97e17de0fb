"""A small run whose tables, curves and artifacts can be computed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vaa.evaluation.evaluation import Evaluation, evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult, StageStats
from vaa.types import Box, Dataset, Failure, GroundTruth, Report, Response, ScoreTrack, Segment, Span, Video

PROTOCOL = Protocol(
    name="lavad",
    labels=None,
    end_inclusive=False,
    precision="float64",
    pad=0.0,
    smooth=0.0,
    transform="none",
    metrics={},
)


def track(values: list[float], every: int = 10) -> ScoreTrack:
    return ScoreTrack(np.array(values), np.arange(len(values), dtype=np.int64) * every)


def history(video: Video, texts: list[str], scores: list[float], smoothed: list[float]) -> dict[str, Report]:
    """query -> clean (the last answer is replaced by the one before) -> score -> smooth -> frames."""
    segments = tuple(Segment(k, k + 10, (k,), k) for k in range(0, video.n_frames, 10))
    windowed = Report(video, segments)
    responses = tuple(Response(f"raw {text}", score, text) for text, score in zip(texts, scores, strict=True))
    queried = replace(windowed, responses=responses)
    cleaned = replace(queried, responses=(*responses[:-1], responses[-2]))
    scored = replace(cleaned, track=track([r.score for r in cleaned.responses]))
    smooth = replace(scored, track=track(smoothed))
    framed = replace(smooth, track=smooth.track.per_frame(video.n_frames) if smooth.track else None)
    return {"window": windowed, "query": queried, "clean": cleaned, "score": scored, "smooth": smooth, "frames": framed}


def example_videos(clip: Path) -> tuple[Video, ...]:
    return tuple(Video(name, clip, 20, 10.0) for name in ("calm", "fight", "fire", "lost"))


def example(clip: Path) -> Evaluation:
    """Three videos of two segments of 10 frames: a fight with high scores, a fire with low ones, calm; a fourth failed.

    The flat order of frames: fight .1 .9(anomalous), fire .3(anomalous) .2, calm .4 .4.
    """
    videos = example_videos(clip)
    calm, fight, fire, _ = videos
    truths = {
        "calm": GroundTruth((), "Normal"),
        "fight": GroundTruth(
            (Span(10, 20, "Fighting"),), "Fighting", (Box(12, (10, 10, 40, 40), 1.0),), "Two men fight."
        ),
        "fire": GroundTruth((Span(0, 10, "Fire"),), "Fire,Riot"),
        "lost": GroundTruth((), "Normal"),
    }
    stages = {
        "calm": history(calm, ["a street", "a street"], [0.5, 0.5], [0.4, 0.4]),
        "fight": history(fight, ["a room", "they fight"], [0.1, 1.0], [0.1, 0.9]),
        "fire": history(fire, ["smoke", "a wall"], [0.3, 0.2], [0.3, 0.2]),
        "lost": {},
    }
    last = {video: replace(each["frames"], truth=truths[video]) for video, each in stages.items() if each}
    boxes = (Box(12, (8, 8, 48, 32), 0.75), Box(4, (0, 0, 8, 8), 0.5))
    last["fight"] = replace(
        last["fight"], tags="fighting", boxes=boxes, located_frames=(4, 12), summary="A fight breaks out."
    )
    stages["fight"]["frames"] = last["fight"]
    lost = Failure("lost", "query", "no such video file")
    steps = [
        StageStats(stage="window"),
        StageStats(stage="query", seconds=1.5, n_queries=4, n_cached=2, n_videos=3),
        StageStats(stage="clean", seconds=0.5, n_queries=9, n_cached=0, n_videos=3, embedding=True),
        StageStats(stage="score"),
    ]
    result = RunResult(last, stages, [lost], steps)
    return evaluate(result=result, dataset=Dataset("by hand", videos, truths, ()), protocol=PROTOCOL)
