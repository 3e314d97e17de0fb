from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from making import recorded_model

from vaa.errors import ConfigError
from vaa.prompts.parsers import BoxesParser, CaptionParser
from vaa.prompts.template import Prompt
from vaa.stages.urf import DescribeVideo, DrawBoxes, LocateBoxes
from vaa.types import Box, GroundTruth, Report, SuspiciousWindow, Video

MODEL = recorded_model()
NAMED = Prompt(
    purpose="box",
    system="",
    text="$frames Find $tags.",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=8,
    parser=BoxesParser(),
)
UNNAMED = Prompt(
    purpose="box",
    system="",
    text="$frames Find it.",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=8,
    parser=BoxesParser(),
)
WHY = Prompt(
    purpose="description",
    system="",
    text="$frames Known: $tags. Why?",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=8,
    parser=CaptionParser(),
)
DESCRIBE = DescribeVideo(model=MODEL, prompt=WHY, sample_fps=1.0, max_frames=4, sampling="even", no_tags="nothing")
BOXES = (Box(40, (0, 0, 9, 9), 1.0), Box(8, (0, 0, 9, 9), 1.0), Box(40, (5, 5, 9, 9), 1.0))


def locate(frames: str = "annotated", prior: str = "tags") -> LocateBoxes:
    return LocateBoxes(
        model=MODEL,
        prompt=NAMED,
        prompt_without_tags=UNNAMED,
        frames=frames,
        prior=prior,
        stride=16,
        skipped=["no "],
        unnamed=["no"],
        parsing="first",
        map_boxes=True,
    )


def report(mean: float = 0.8, tags: str = "a fight") -> Report:
    window = SuspiciousWindow((64, 364), mean, (0, 300), 0.1, 0.2, mean, 0.1)
    truth = GroundTruth((), "Arson", BOXES)
    return Report(Video("v", Path("v.mp4"), 120, 30.0), suspicious_window=window, tags=tags, all_tags=tags, truth=truth)


def test_annotated_frames_are_queried_once_each() -> None:
    queries = locate().queries(report())
    assert [(query.frames, query.at) for query in queries] == [((40,), 40), ((8,), 8)]
    assert locate().queries(replace(report(), truth=None)) == ()


def test_every_16th_frame_of_the_suspicious_window_is_queried() -> None:
    assert [q.at for q in locate("window").queries(report())] == [64, 80, 96, 112]


def test_the_frame_after_the_window_is_queried_too() -> None:
    before = report()
    assert before.suspicious_window is not None
    short = replace(before, suspicious_window=replace(before.suspicious_window, highest=(64, 96)))
    assert [q.at for q in locate("window").queries(short)] == [64, 80, 96]


@pytest.mark.parametrize(("mean", "tags"), [(0.5004, "a fight"), (0.8, ""), (0.8, "there is no fight")])
def test_a_window_with_low_scores_or_without_tags_is_not_queried(mean: float, tags: str) -> None:
    assert locate("window").queries(report(mean, tags)) == ()


@pytest.mark.parametrize(
    ("prior", "tags", "text"),
    [
        ("tags", "a fight", "Find a fight."),
        ("tags", "", "Find it."),
        ("tags", "[]", "Find it."),
        ("tags", "Not a fight", "Find it."),
        ("none", "a fight", "Find it."),
        ("class", "a fight", "Find Arson."),
    ],
)
def test_the_prior_selects_the_tags_in_the_query(prior: str, tags: str, text: str) -> None:
    (first, *_) = locate(prior=prior).queries(report(tags=tags))
    assert first.text.endswith(text)


def test_boxes_have_their_frame_and_unparsed_answers_are_counted() -> None:
    answers = ['[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.9}]', "I see nothing"]
    after = locate().absorb(report(), answers)
    assert after.boxes == (Box(40, (1.0, 2.0, 3.0, 4.0), 0.9),)
    assert (after.n_answers, after.n_unparsed) == (2, 1)
    assert locate().absorb(report(), ["[]", "[]"]).n_unparsed == 0


@dataclass(frozen=True)
class VlmWithoutBoxes:
    identity: str | None = None
    accepts_frames: bool = True

    def generate(self, queries: object) -> object:
        raise AssertionError("a stage does not query its model")

    def choose(self, queries: object) -> object:
        raise AssertionError("a stage does not query its model")

    def release(self) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": "all"}, "frames=all"),
        ({"prior": "truth"}, "prior=truth"),
        ({"model": VlmWithoutBoxes()}, "VlmWithoutBoxes gives no boxes"),
    ],
)
def test_wrong_fields_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(locate(), **wrong)


def test_the_whole_video_is_described_with_its_tags() -> None:
    stage = DESCRIBE
    (query,) = stage.queries(report())
    assert query.frames == (0, 39, 79, 119)
    assert query.text.endswith("Known: a fight. Why?")
    (unusable,) = stage.queries(replace(report(tags="no fight"), tags=""))
    assert unusable.text.endswith("Known: no fight. Why?")
    (other,) = stage.queries(report(tags=""))
    assert other.text.endswith("Known: nothing. Why?")
    assert stage.absorb(report(), [" Two men\nfight. "]).summary == "Two men fight."


def test_the_query_is_about_the_copy_with_boxes(clip: Path, tmp_path: Path) -> None:
    report_with_box = Report(Video("v", clip, 25, 10.0), boxes=(Box(3, (5, 5, 20, 20), 0.9),))
    drawn = DrawBoxes(folder=str(tmp_path / "drawn"), hold=False, decoder="decord")(report_with_box).drawn_video
    assert drawn is not None
    assert drawn.path.is_file()
    assert DESCRIBE.queries(replace(report_with_box, drawn_video=drawn))[0].video == drawn
    assert (
        DrawBoxes(folder=str(tmp_path), hold=False, decoder="decord")(replace(report_with_box, boxes=())).drawn_video
        is None
    )
