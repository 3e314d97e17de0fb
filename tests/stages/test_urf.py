from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from making import recorded_model

from vaa.errors import ConfigError, VideoError
from vaa.generation import GenerationConfig
from vaa.prompts.parsers import CaptionParser, RatingParser, TagsParser
from vaa.prompts.template import Prompt
from vaa.stages.responses import CaptionSegments, InterpolateScores, RateCaptions
from vaa.stages.urf import DropUnusableTags, FindSuspiciousWindow, RerateCaptions, TagWindow, UncertaintyGate
from vaa.stages.window import CentredWindow
from vaa.types import Report, Response, ScoreTrack, Segment, SuspiciousWindow, Video

MODEL = recorded_model()
RATE = Prompt(
    purpose="rating",
    system="Rate.",
    text="$caption",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=8,
    parser=RatingParser(),
)
RERATE = Prompt(
    purpose="rerating",
    system="Criminal$prior? $tags",
    text="$caption",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=8,
    parser=RatingParser(),
)
TAGS = Prompt(
    purpose="tags",
    system="",
    text="$frames Name it.",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=8,
    parser=TagsParser(),
)


def report(values: list[float], stride: int = 16, fps: float = 30.0) -> Report:
    starts = np.arange(len(values), dtype=np.int64) * stride
    segments = tuple(Segment(int(s), int(s) + stride, (int(s),), int(s)) for s in starts)
    responses = tuple(Response(f"scene {k}", value, f"scene {k}") for k, value in enumerate(values))
    video = Video("v", Path("v.mp4"), max(1, len(values) * stride), fps)
    return Report(video, segments, responses, ScoreTrack(np.array(values, dtype=np.float64), starts))


def doubtful(mean: float, std: float = 0.2, tags: str = "fight") -> Report:
    window = SuspiciousWindow((0, 300), mean, (16, 316), 0.0, std, mean, 0.0)
    return replace(report([0.4, 0.6]), suspicious_window=window, tags=tags)


@pytest.mark.parametrize("scores", ["scores/videollama3"])
def test_suspicious_windows_and_statistics_equal_the_authors(shared: Path, scores: str) -> None:
    folder = shared / "recorded/urf/ucf_crime" / scores
    theirs = json.loads((folder / "highest_lowest_intervals.json").read_text())
    assert len(theirs) == 290
    for video, expected in theirs.items():
        track = json.loads((folder / f"{video}.json").read_text())
        window = FindSuspiciousWindow(n_parts=10, min_frames=300)(report(list(track.values()))).suspicious_window
        assert window is not None
        assert [list(window.highest), list(window.lowest)] == [
            expected["highest_interval"],
            expected["lowest_interval"],
        ]
        ours = (
            window.highest_mean,
            window.lowest_mean,
            window.high_mean,
            window.low_mean,
            window.high_mean - window.low_mean,
        )
        keys = ("highest_avg_score", "lowest_avg_score", "avg_high_group", "avg_low_group", "gap_high_low")
        np.testing.assert_allclose(ours, [expected[key] for key in keys], atol=5.1e-4, rtol=0)
        assert window.std == pytest.approx(expected["std"], abs=5.1e-6)


def test_the_window_is_a_tenth_of_a_long_video_and_the_first_wins_ties() -> None:
    window = FindSuspiciousWindow(n_parts=10, min_frames=300)(report([0.5] * 400)).suspicious_window
    assert window is not None
    assert (window.highest, window.lowest) == ((0, 638), (0, 638))  # 399 * 16 // 10
    assert (window.high_mean, window.low_mean, window.std) == (0.5, 0.5, 0.0)  # an empty group counts as all


@pytest.mark.parametrize(
    ("mean", "std", "margin", "gated"),
    [
        (0.5504, 0.2, 0.05, True),  # rounded to 0.550
        (0.5506, 0.2, 0.05, False),
        (0.4496, 0.2, 0.05, True),
        (0.4494, 0.2, 0.05, False),
        (0.6, 0.35, None, True),  # 0.35 squared is 0.1225
        (0.6, 0.3, None, False),
    ],
)
def test_the_gate_is_the_margin_around_one_half(mean: float, std: float, margin: float | None, gated: bool) -> None:
    assert UncertaintyGate(margin=margin)(doubtful(mean, std)).gated is gated


@pytest.mark.parametrize(
    ("tags", "good"),
    [
        ("fighting, theft", True),
        ("", False),
        ("[]", False),
        ("None", False),
        ("no suspicious activity", False),
        ("no_activity", False),
        ("noise", True),
        ("[arson]", True),
    ],
)
def test_unusable_tags_are_dropped(tags: str, good: bool) -> None:
    before = replace(report([0.5]), tags=tags, all_tags=tags)
    after = DropUnusableTags(empty_tags=["none"], negations=["no ", "no_"])(before)
    assert (after.tags, after.all_tags) == (tags if good else "", tags)


def test_only_uncertain_videos_with_tags_are_rated_again() -> None:
    stage = RerateCaptions(model=MODEL, prompt=RERATE, prior=" or criminal", max_tokens=20, digits=2)
    assert stage.queries(replace(doubtful(0.5), gated=False)) == ()
    assert stage.queries(replace(doubtful(0.5, tags=""), gated=True)) == ()
    queries = stage.queries(replace(doubtful(0.5, tags="['a fight', 'arson']"), gated=True))
    assert [(query.text, query.frames, query.at) for query in queries] == [
        ("scene 0", (), 0),
        ("scene 1", (), 16),
    ]
    assert {query.system for query in queries} == {"Criminal or criminal? 'a fight', 'arson'"}


@dataclass(frozen=True)
class LlmOfWords:
    """An LLM whose tokens are words."""

    identity: str | None = None

    def generate(self, queries: object) -> object:
        raise AssertionError("a stage does not query its model")

    def choose(self, queries: object) -> object:
        raise AssertionError("a stage does not query its model")

    def release(self) -> None: ...

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def urf_tags(tags: str, context: str, limit: int) -> str | None:
    """URF's rule in words: too many are not used; of the others, those that fit beside the context, or none."""
    words, space = tags.split(), limit - len(context.split())
    if len(words) > limit or space <= 0:
        return None
    return " ".join(words[:space]) or None


def test_long_tags_are_cut_to_the_llms_tokens_and_longer_ones_not_rated_again() -> None:
    draw, n_cut = random.Random(3), 0
    for _ in range(300):
        limit, tags = draw.randint(3, 30), " ".join(["theft"] * draw.randint(1, 30))
        stage = RerateCaptions(model=LlmOfWords(), prompt=RERATE, prior=" or criminal", max_tokens=limit, digits=2)
        queries = stage.queries(replace(doubtful(0.5, tags=tags), gated=True))
        expected = urf_tags(tags, "Criminal or criminal? ", limit)
        assert [query.system for query in queries] == [f"Criminal or criminal? {expected}"] * (2 if expected else 0)
        n_cut += expected is not None and expected != tags
    assert n_cut > 20


def test_without_a_tokenizer_four_characters_count_as_a_token() -> None:
    stage = RerateCaptions(model=MODEL, prompt=RERATE, prior="", max_tokens=10, digits=2)
    assert len(stage.queries(replace(doubtful(0.5, tags="x" * 20), gated=True))) == 2
    assert stage.queries(replace(doubtful(0.5, tags="x" * 41), gated=True)) == ()


def test_second_ratings_replace_the_first_and_unparsed_ones_are_interpolated_and_counted() -> None:
    stage = RerateCaptions(model=MODEL, prompt=RERATE, prior="", max_tokens=99, digits=2)
    before = replace(report([0.1, 0.2, 0.3, 0.4]), n_answers=4)
    after = stage.absorb(before, ["[0.9]", "dunno", "??", "[0.2]"])
    assert after.track is not None
    np.testing.assert_array_equal(after.track.values, [0.9, 0.67, 0.43, 0.2])
    assert (after.n_answers, after.n_unparsed) == (8, 2)
    unchanged = stage.absorb(before, ["?"] * 4)
    assert unchanged.track is before.track
    assert (unchanged.n_answers, unchanged.n_unparsed) == (8, 4)
    assert stage.absorb(before, []).track is before.track


def test_ratings_are_of_captions_without_frames() -> None:
    stage = RateCaptions(model=MODEL, prompt=RATE)
    before = report([math.nan] * 3)
    assert [(q.text, q.frames, q.at) for q in stage.queries(before)][1] == ("scene 1.", (), 16)
    rated = stage.absorb(before, ["[0.1]", "no idea", "[ 1.0 ] and [0]"])
    np.testing.assert_array_equal([r.score for r in rated.responses], [0.1, math.nan, 1.0])
    assert (rated.n_answers, rated.n_unparsed) == (3, 1)
    track = InterpolateScores(digits=2)(rated).track
    assert track is not None
    np.testing.assert_array_equal(track.values, [0.1, 0.55, 1.0])


def test_first_scores_are_interpolated_without_rounding() -> None:
    track = InterpolateScores(digits=None)(report([0.1, math.nan, math.nan, 0.2])).track
    assert track is not None
    np.testing.assert_allclose(track.values, [0.1, 0.4 / 3, 0.5 / 3, 0.2], rtol=1e-12)


def test_without_a_parsed_score_there_is_no_track() -> None:
    with pytest.raises(VideoError, match="none of its scores"):
        InterpolateScores(digits=2)(report([math.nan, math.nan]))


def test_an_empty_caption_is_replaced() -> None:
    captions = Prompt(
        purpose="caption",
        system="",
        text="$frames",
        definition_text=None,
        file=None,
        system_file=None,
        placeholders=None,
        max_new_tokens=8,
        parser=CaptionParser(),
    )
    after = CaptionSegments(model=MODEL, prompt=captions, empty="Nothing was detected").absorb(
        report([0.0, 0.0]), ["A dog", " "]
    )
    assert [response.description for response in after.responses] == ["A dog", "Nothing was detected"]
    assert (after.n_answers, after.n_unparsed) == (0, 0)


def test_the_tag_query_is_about_the_suspicious_window_within_the_video() -> None:
    stage = TagWindow(model=MODEL, prompt=TAGS, sample_fps=18.0, max_frames=5, sampling="even", generation=None)
    before = replace(
        report([0.5] * 10), suspicious_window=SuspiciousWindow((96, 396), 0.5, (0, 300), 0.1, 0.1, 0.5, 0.1)
    )
    (query,) = stage.queries(before)
    assert query.frames[0] == 96
    assert query.frames[-1] == 159  # the last of 160 frames
    assert len(query.frames) == 5
    tagged = stage.absorb(before, ["['a fight', 'theft']"])
    assert (tagged.tags, tagged.all_tags) == ("a fight, theft", "a fight, theft")
    assert query.generation is None
    hot = GenerationConfig(temperature=0.7, top_p=0.8, top_k=20, seed=3306)
    assert replace(stage, generation=hot).queries(before)[0].generation == hot
    with pytest.raises(ConfigError, match="suspicious window"):
        stage.queries(report([0.5]))


@pytest.mark.parametrize(
    ("n", "fps", "at", "start", "stop", "shown"),
    [
        (1000, 30.0, 480, 330, 630, 10),  # the whole ten seconds, thinned to ten frames
        (1000, 30.0, 0, 0, 150, 10),
        (1000, 30.0, 992, 842, 1000, 10),
        (40, 30.0, 16, 0, 40, 2),  # a second and a third at two frames a second
        (1, 30.0, 0, 0, 1, 1),
        (100, 2.0, 48, 38, 58, 10),
    ],
)
def test_a_centred_window_is_ten_seconds_around_its_frame(
    n: int, fps: float, at: int, start: int, stop: int, shown: int
) -> None:
    segments = CentredWindow(stride=16, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="even")(
        Report(Video("v", Path("v.mp4"), n, fps))
    ).segments
    (window,) = (segment for segment in segments if segment.at == at)
    assert (window.start, window.stop, len(window.frames)) == (start, stop, shown)
    assert window.frames[0] == start
    assert window.frames == tuple(sorted(set(window.frames)))
    assert len(segments) == -(-n // 16)


def test_seconds_need_a_frame_rate() -> None:
    with pytest.raises(VideoError, match="frame rate"):
        CentredWindow(stride=16, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="even")(
            Report(Video("v", Path("v.mp4"), 100, 0.0))
        )
