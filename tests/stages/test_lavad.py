"""LAVAD's own stages, against loops written from the paper's description."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from making import UnusedModel

from vaa.errors import ConfigError, VideoError
from vaa.prompts.parsers import CaptionParser
from vaa.prompts.template import Prompt
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.lavad import CleanCaptions, GatherCaptions, NearestSummaries, SingleFrames, SummariseCaptions
from vaa.stages.window import CentredFrames, CentredWindow
from vaa.types import Query, Report, Response, ScoreTrack, Segment, Video

VIDEO = Video("v", Path("v.mp4"), 64, 10.0)
SUMMARISE = Prompt(
    purpose="summary",
    system="Sum up.",
    text="$captions",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=8,
    parser=CaptionParser(),
)


def captioned(captions: list[str], stride: int = 1) -> Report:
    video = replace(VIDEO, n_frames=len(captions) * stride)
    report = SingleFrames(stride=stride)(Report(video))
    return replace(report, responses=tuple(Response(f"<{c}>", math.nan, c) for c in captions))


def descriptions(report: Report) -> list[str]:
    return [response.description for response in report.responses]


@pytest.mark.parametrize(("stride", "expected"), [(1, list(range(64))), (10, [0, 10, 20, 30, 40, 50, 60])])
def test_every_nth_frame_is_a_segment_of_its_own(stride: int, expected: list[int]) -> None:
    assert SingleFrames(stride=stride)(Report(VIDEO)).segments == tuple(Segment(k, k + 1, (k,), k) for k in expected)


def test_clean_queries_each_frame_and_each_distinct_caption_once() -> None:
    queries = CleanCaptions(model=UnusedModel(), pool_stride=1).queries(captioned(["a", "b", "a"]))
    assert [(query.frames, query.text) for query in queries] == [
        *[((k,), "") for k in range(3)],
        *[((), text) for text in "ab"],
    ]


@pytest.mark.parametrize("n", [1, 2, 7, 2500])
def test_each_frame_gets_the_most_similar_caption_of_the_video(n: int) -> None:
    rng = np.random.default_rng(n)
    report = captioned([f"caption {k // 2}" for k in range(n)])
    different = list(dict.fromkeys(descriptions(report)))
    vision, text = rng.normal(size=(n, 4)), rng.normal(size=(len(different), 4))
    cleaned = descriptions(CleanCaptions(model=UnusedModel(), pool_stride=1).absorb(report, [*vision, *text]))
    for k in {0, n // 2, n - 1, *rng.integers(0, n, 5).tolist()}:
        fits = [math.fsum(float(a) * float(b) for a, b in zip(vision[k], row, strict=True)) for row in text]
        assert cleaned[k] == different[fits.index(max(fits))]


def test_the_first_of_equally_similar_captions_wins() -> None:
    same = np.ones((2, 4))
    assert descriptions(
        CleanCaptions(model=UnusedModel(), pool_stride=1).absorb(captioned(["a", "b"]), [*same, *same])
    ) == ["a", "a"]


def test_a_window_has_the_captions_of_its_frames_in_order() -> None:
    report = captioned([f"frame {k}" for k in range(64)])
    gathered = GatherCaptions(
        window=CentredWindow(stride=16, seconds=2.0, sample_fps=2.0, max_frames=4, sampling="even"), separator="\n"
    )(report)
    assert [segment.at for segment in gathered.segments] == [0, 16, 32, 48]
    assert gathered.segments[1].frames == (6, 12, 18, 25)
    assert descriptions(gathered)[1] == "frame 6\nframe 12\nframe 18\nframe 25"
    assert len(gathered.responses) == 4
    assert math.isnan(gathered.responses[1].score)


def test_a_frame_without_a_caption_gets_that_of_the_nearest_frame_the_earlier_of_two() -> None:
    @dataclass(frozen=True)
    class Fixed:
        scope: ClassVar[Scope] = SEGMENT

        def __call__(self, report: Report) -> Report:
            return replace(report, segments=(Segment(0, 40, (0, 4, 5, 6, 15, 16, 39), 0),))

    gathered = GatherCaptions(window=Fixed(), separator="\n")(captioned(["0", "10", "20", "30"], 10))
    assert descriptions(gathered) == ["0\n0\n0\n10\n10\n20\n30"]


def test_a_window_of_a_video_of_one_frame() -> None:
    assert descriptions(
        GatherCaptions(
            window=CentredWindow(stride=16, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="even"),
            separator="\n",
        )(captioned(["alone"]))
    ) == ["alone"]


def test_captions_are_summarised_without_frames_and_empty_summaries_replaced() -> None:
    report = replace(captioned(["a", "b"]), segments=(Segment(0, 9, (0, 8), 0), Segment(9, 18, (9,), 9)))
    stage = SummariseCaptions(model=UnusedModel(), prompt=SUMMARISE, empty="nothing")
    assert [(query.text, query.system, query.frames, query.at) for query in stage.queries(report)] == [
        ("a", "Sum up.", (), 0),
        ("b", "Sum up.", (), 9),
    ]
    assert descriptions(stage.absorb(report, ["A fight.", " "])) == ["A fight.", "nothing"]


def windows(n: int, values: np.ndarray) -> Report:
    """Windows of three frames that overlap by one."""
    segments = tuple(Segment(2 * k, 2 * k + 3, (2 * k, 2 * k + 1, 2 * k + 2), 2 * k) for k in range(n))
    responses = tuple(Response("", math.nan, f"summary {k}") for k in range(n))
    return Report(replace(VIDEO, n_frames=2 * n + 1), segments, responses, ScoreTrack(values, 2 * np.arange(n)))


def cosine(a: list[float], b: list[float]) -> float:
    lengths = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def reference(frames: np.ndarray, texts: np.ndarray, initial: np.ndarray, nearest: int, heat: float) -> list[float]:
    refined = []
    for k in range(len(texts)):
        window = [math.fsum(float(frames[2 * k + j][d]) for j in range(3)) / 3 for d in range(frames.shape[1])]
        fits = [cosine(window, [float(x) for x in text]) for text in texts]
        best = sorted(range(len(fits)), key=lambda i: (-fits[i], i))[:nearest]
        weights = [math.exp(fits[i] / heat) for i in best]
        refined.append(
            math.fsum(w * float(initial[i]) for w, i in zip(weights, best, strict=True)) / math.fsum(weights)
        )
    return refined


@pytest.mark.parametrize(("nearest", "temperature"), [(1, 1.0), (10, 1.0), (10, 0.1)])
@pytest.mark.parametrize("n", [1, 4, 10, 11, 60])
def test_refinement_agrees_with_the_reference(n: int, nearest: int, temperature: float) -> None:
    rng = np.random.default_rng(n)
    frames, texts, initial = rng.normal(size=(2 * n + 1, 6)), rng.normal(size=(n, 6)), rng.random(n)
    texts[n // 2] = 0.0  # an empty summary
    stage = NearestSummaries(model=UnusedModel(), nearest=nearest, temperature=temperature)
    track = stage.absorb(windows(n, initial), [*frames.astype(np.float32), *texts.astype(np.float32)]).track
    assert track is not None
    np.testing.assert_allclose(track.values, reference(frames, texts, initial, nearest, temperature), atol=1e-6)
    assert track.starts.tolist() == [2 * k for k in range(n)]


def test_refinement_queries_each_frame_once_and_every_summary() -> None:
    queries = NearestSummaries(model=UnusedModel(), nearest=10, temperature=1.0).queries(windows(3, np.zeros(3)))
    assert [(query.frames, query.text) for query in queries] == [
        *[((k,), "") for k in range(7)],
        *[((), f"summary {k}") for k in range(3)],
    ]
    assert all(isinstance(query, Query) for query in queries)


def test_refinement_without_descriptions_is_an_error() -> None:
    silent = replace(windows(2, np.zeros(2)), responses=(Response("[1]", 1.0, ""),) * 2)
    with pytest.raises(VideoError, match="no segment has a description"):
        NearestSummaries(model=UnusedModel(), nearest=10, temperature=1.0).queries(silent)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SingleFrames(stride=0),
        lambda: NearestSummaries(model=UnusedModel(), nearest=0, temperature=1.0),
        lambda: NearestSummaries(model=UnusedModel(), nearest=10, temperature=0.0),
    ],
)
def test_invalid_values_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"stride|nearest"):
        make()


def test_the_pool_is_the_captions_of_every_nth_frame() -> None:
    report = captioned(["a", "b", "c", "b", "a", "d", "e"], 8)  # frames 0, 8, ... 48
    stage = CleanCaptions(model=UnusedModel(), pool_stride=16)
    assert [query.text for query in stage.queries(report)[7:]] == ["a", "c", "e"]
    fits = np.eye(3)[[0, 1, 2, 0, 1, 2, 0]]
    assert descriptions(stage.absorb(report, [*fits, *np.eye(3)])) == ["a", "c", "e", "a", "c", "e", "a"]


def test_a_pool_stride_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="pool_stride"):
        CleanCaptions(model=UnusedModel(), pool_stride=0)


def test_windows_have_the_captions_that_the_authors_program_gives_them() -> None:
    """A list of (first frame, caption) of every 16th frame; for each frame of a window the best of the list."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, fps = int(rng.integers(17, 250)), float(rng.choice([24.0, 30.0]))
        texts = [f"caption {k}" for k in rng.integers(0, max(2, n // 3), n)]
        vector = {text: rng.normal(size=4) for text in texts}
        images = rng.normal(size=(n, 4))
        listed: list[tuple[int, str]] = []
        for frame in range(0, n, 16):
            if texts[frame] not in [text for _, text in listed]:
                listed.append((frame, texts[frame]))
        expected = []
        for centre in range(0, n, 16):
            around = range(max(centre - int(10 * fps) // 2, 0), min(centre + int(10 * fps) // 2, n))
            chosen = [around[k] for k in np.linspace(0, len(around) - 1, 10, dtype=int)] if len(around) > 10 else around
            lines = []
            for frame in chosen:
                fits = [float(images[frame] @ vector[text]) for _, text in listed]
                lines.append(texts[listed[fits.index(max(fits))][0]])
            expected.append("\n ".join(lines))
        video = Video("v", Path("v.mp4"), n, fps)
        report = replace(
            SingleFrames(stride=1)(Report(video)), responses=tuple(Response(t, math.nan, t) for t in texts)
        )
        clean = CleanCaptions(model=UnusedModel(), pool_stride=16)
        pool = [query.text for query in clean.queries(report)[n:]]
        cleaned = clean.absorb(report, [*images, *(vector[text] for text in pool)])
        window = CentredFrames(stride=16, seconds=10.0, n_frames=10, spacing="ends")
        assert descriptions(GatherCaptions(window=window, separator="\n ")(cleaned)) == expected


def test_scores_are_refined_as_by_the_authors_program() -> None:
    """An index of distinct summaries, each with the score of the first window that has it; the ten nearest."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 80))
        summaries = [f"summary {k}" for k in rng.integers(0, max(1, n // 2), n)]
        vector = {text: rng.normal(size=6) for text in summaries}
        frames, initial = rng.normal(size=(2 * n + 1, 6)), rng.random(n)
        index = [k for k in range(n) if summaries[k] not in summaries[:k]]
        expected = []
        for k in range(n):
            window = frames[2 * k : 2 * k + 3].mean(axis=0)
            similar = {i: cosine(window.tolist(), vector[summaries[i]].tolist()) for i in index}
            ten = sorted(index, key=lambda i: -similar[i])[:10]
            weights = [math.exp(similar[i]) for i in ten]
            expected.append(sum(w * float(initial[i]) for w, i in zip(weights, ten, strict=True)) / sum(weights))
        report = replace(windows(n, initial), responses=tuple(Response("", math.nan, text) for text in summaries))
        stage = NearestSummaries(model=UnusedModel(), nearest=10, temperature=1.0)
        track = stage.absorb(report, [*frames, *(vector[text] for text in summaries)]).track
        assert track is not None
        np.testing.assert_allclose(track.values, expected, atol=1e-12)


def test_a_repeated_summary_counts_once_with_its_first_score() -> None:
    report = replace(
        windows(3, np.array([1.0, 0.0, 0.5])), responses=tuple(Response("", math.nan, text) for text in "aab")
    )
    same = [np.ones(2)] * 7
    stage = NearestSummaries(model=UnusedModel(), nearest=10, temperature=1.0)
    track = stage.absorb(report, [*same, np.ones(2), np.ones(2), np.ones(2)]).track
    assert track is not None
    np.testing.assert_allclose(track.values, 0.75)  # of 1.0 and 0.5
