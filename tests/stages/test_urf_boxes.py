"""URF's boxes as the authors' program reads, names and uses them: its rules, stated again, and released files."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from making import recorded_model

from vaa.evaluation.localisation import localisation
from vaa.prompts.parsers import BoxesParser, parse_boxes, parse_first_box
from vaa.prompts.template import Prompt
from vaa.stages.read_scores import ReadScores
from vaa.stages.urf import FindSuspiciousWindow, LocateBoxes
from vaa.types import XYXY, Box, GroundTruth, Report, Video

BOX = Prompt(
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
LOCATE = LocateBoxes(
    model=recorded_model(),
    prompt=BOX,
    prompt_without_tags=replace(BOX, text="$frames Find it."),
    frames="window",
    prior="tags",
    stride=16,
    skipped=["no "],
    unnamed=["no"],
    parsing="first",
    map_boxes=True,
)


def urf_box(text: str) -> tuple[list[int] | None, float]:
    """The box and the confidence that URF's program finds in an answer."""
    try:
        items = json.loads(text)
        if isinstance(items, list) and len(items[0]["bbox_2d"]) == 4:
            return [int(corner) for corner in items[0]["bbox_2d"]], float(items[0]["confidence"])
    except (ValueError, LookupError, TypeError):
        pass
    integers = re.findall("[0-9]+", re.sub("(?i)bbox[ _]?2d", "", text))
    decimals = re.findall("[0-9]*[.][0-9]+", text)
    return [int(each) for each in integers[:4]] if len(integers) > 3 else None, float([0.0, *decimals][-1])


def random_answer(draw: random.Random) -> str:
    """JSON of some boxes, perhaps in a fence, with words, without its end, or with whole numbers as confidences."""
    boxes = []
    for _ in range(draw.randint(0, 3)):
        x, y = draw.randint(0, 200), draw.randint(0, 200)
        confidence = draw.choice(["1", "0", "0.9", "0.35", "1.0", '"high"'])
        boxes.append(f'{{"bbox_2d": [{x}, {y}, {x + draw.randint(1, 99)}, {y + 40}], "confidence": {confidence}}}')
    text = f"[{', '.join(boxes)}]"
    if draw.random() < 0.2:
        text = text[: draw.randint(1, len(text))]
    return draw.choice(["{}", "{}", "```json\n{}\n```", "It is here: {}", "{} as you see"]).format(text)


def test_a_box_is_that_of_the_authors_program_in_400_random_answers() -> None:
    draw, n_differ = random.Random(1), 0
    for _ in range(400):
        text = random_answer(draw)
        corners, confidence = urf_box(text)
        parsed = parse_first_box(text)
        if corners is not None:  # of a list without its end, any four numbers: the corners are put in order
            corners = [*map(min, corners[:2], corners[2:]), *map(max, corners[:2], corners[2:])]
        expected = None if corners is None else (*map(float, corners), min(1.0, confidence))
        assert (parsed[0] if parsed else None) == expected, text
        n_differ += parse_boxes(text) != parsed
    assert n_differ > 50


@pytest.mark.parametrize(
    ("text", "first", "all_of_them"),
    [
        ('```json\n[{"bbox_2d": [1, 2, 3, 4], "confidence": 1}]\n```', 0.0, 1.0),
        ('```json\n[{"bbox_2d": [1, 2, 3, 4], "confidence": 1.0}]\n```', 1.0, 1.0),
        ('[{"bbox_2d": [1, 2, 3, 4], "confidence": 1}]', 1.0, 1.0),
        ('[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.2}, {"bbox_2d": [1, 2, 3, 4], "confidence": 0.7}]', 0.2, 0.7),
    ],
)
def test_the_confidence_depends_on_how_answers_are_parsed(text: str, first: float, all_of_them: float) -> None:
    before = Report(Video("v", Path("v.mp4"), 9, 30.0), truth=GroundTruth((), "x", (Box(0, (0, 0, 9, 9), 1.0),)))
    stage = replace(LOCATE, frames="annotated", prior="none")
    assert [box.score for box in stage.absorb(before, [text]).boxes] == [first]
    assert max(box.score for box in replace(stage, parsing="all").absorb(before, [text]).boxes) == all_of_them


def test_an_answer_without_a_box_is_empty_and_one_without_json_is_unparsed() -> None:
    assert [parse_first_box(text) for text in ("[]", "```json\n[]\n```", "none that I see")] == [(), (), None]


@dataclass(frozen=True)
class HalfSize:
    """A model that sees every frame at half its size."""

    identity: str | None = None
    accepts_frames: bool = True

    def generate(self, queries: object) -> object:
        raise AssertionError("a stage does not query its model")

    def choose(self, queries: object) -> object:
        raise AssertionError("a stage does not query its model")

    def release(self) -> None: ...

    def check_boxes(self) -> None: ...

    def to_frame(self, video: Video, xyxy: XYXY) -> XYXY:
        return xyxy[0] * 2, xyxy[1] * 2, xyxy[2] * 2, xyxy[3] * 2


@pytest.mark.parametrize(("map_boxes", "expected"), [(True, (2, 4, 6, 8)), (False, (1, 2, 3, 4))])
def test_boxes_are_mapped_to_the_frame_or_taken_as_they_are(map_boxes: bool, expected: XYXY) -> None:
    before = Report(Video("v", Path("v.mp4"), 9, 30.0), truth=GroundTruth((), "x", (Box(0, (0, 0, 9, 9), 1.0),)))
    stage = replace(LOCATE, model=HalfSize(), frames="annotated", prior="none", map_boxes=map_boxes)
    (box,) = stage.absorb(before, ['[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.9}]']).boxes
    assert box.xyxy == expected


@pytest.mark.parametrize(
    ("name", "unmapped", "mapped"),
    [("zero", 0.240932, 0.244523), ("t_v", 0.255608, 0.261099), ("gt", 0.253058, 0.258848)],
)
def test_mapping_the_released_boxes_to_the_frames_raises_tiou(
    shared: Path, name: str, unmapped: float, mapped: float
) -> None:
    """The released boxes are in pixels of frames of 308x252, whole patches of 28, while the frames have 320x240."""
    folder = shared / "recorded/urf/ucf_crime/localisations"
    truths: dict[str, list[Box]] = {}
    predicted: dict[bool, dict[str, list[Box]]] = {False: {}, True: {}}
    for entry in json.loads((folder / f"predicted_bboxes_{name}_prior.json").read_text()):
        boxes = truths.setdefault(entry["video"], [])
        boxes.append(Box(len(boxes), tuple(entry["gt_bbox"]), 1.0))
        if entry["pred_bbox"]:
            x1, y1, x2, y2 = entry["pred_bbox"]
            for to_frame, (x, y) in ((False, (1.0, 1.0)), (True, (320 / 308, 240 / 252))):
                box = Box(boxes[-1].frame, (x1 * x, y1 * y, x2 * x, y2 * y), entry["confidence"])
                predicted[to_frame].setdefault(entry["video"], []).append(box)
    assert localisation(truths, predicted[False])["tiou"] == pytest.approx(unmapped, abs=5e-7)
    assert localisation(truths, predicted[True])["tiou"] == pytest.approx(mapped, abs=5e-7)


@pytest.mark.parametrize(
    ("data", "scores", "tags", "n_drawn", "n_unnamed"),
    [
        ("ucf_crime", "videollama3", "videollama3/suspicious_part_phrases.json", 65, 25),
        ("xd_violence", "videollama3_7B", "suspicious_part_phrases.json", 454, 189),
    ],
)
def test_boxes_are_drawn_for_as_many_released_videos_as_by_the_authors(
    shared: Path, data: str, scores: str, tags: str, n_drawn: int, n_unnamed: int
) -> None:
    root = shared / "recorded/urf" / data
    read, find = (
        ReadScores(root=str(root / "refined_scores" / scores), field="refined", step=1, lowest=0.0, highest=1.0),
        FindSuspiciousWindow(n_parts=10, min_frames=300),
    )
    drawn, unnamed = 0, 0
    for name, text in json.loads((root / "scores" / tags).read_text()).items():
        video = Video(name.split("/")[-1], Path("v.mp4"), 10**6, 30.0)
        before = replace(find(read(Report(video))), tags="", all_tags=text.strip())
        queries = LOCATE.queries(before)
        drawn += bool(queries)
        unnamed += not LOCATE._tags(before)
        expected = "it" if not text.strip() or "no" in text.lower() or text == "[]" else text.strip()
        assert {query.text.partition("Find ")[2] for query in queries} <= {f"{expected}."}
    assert drawn == n_drawn
    assert unnamed == n_unnamed
