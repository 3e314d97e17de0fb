"""The training data of the tiny models: clips and frames of synthetic videos, with prompts and right answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaa.prompts.template import Prompt
from vaa.synthetic.canvas import SIDE, Label
from vaa.synthetic.events import ANOMALOUS, EVENT_CLASSES
from vaa.synthetic.script import ReferenceAnswer, RenderedFrame, Script, random_script, reference_answer, render
from vaa.tiny import paraphrases
from vaa.types import GenerateQuery, Segment, Video

_NOWHERE = Video("synthetic", Path("synthetic"), 1, 1.0)
_SHAPES = ((8, 2.9, 0.54), (10, 9.0, 0.2), (8, 9.0, 0.1), (16, 45.0, 0.1), (6, 5.0, 0.06))
"""(frames, seconds from the first to the last, share of the clips): segments, whole videos, and others."""
_NAMES = list(EVENT_CLASSES)
PRIORS = ("suspicious or potentially criminal", "suspicious or violent", "suspicious", "abnormal or criminal")
GUIDING_QUESTIONS: Mapping[str, Mapping[str, int]] = {
    "guided": {"fight": 1, "theft": 2, "crash": 3, "fire": 4, "explosion": 4, "collapse": 5},
    "guided_xd": {"fight": 1, "collapse": 2, "fire": 3, "explosion": 3, "crash": 4, "theft": 5},
}
"""Prompt -> class -> the number of the guiding question whose answer is yes."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Frames of a script, the reference answer for all of them, and the event class of each (0: none).

    `visible`: class -> the number of frames in which an event of this class is visible.
    """

    pictures: tuple[RenderedFrame, ...]
    reference: ReferenceAnswer
    events: tuple[int, ...]
    visible: Mapping[str, int] = field(default_factory=dict)


def draw_shape(rng: np.random.Generator) -> tuple[int, float]:
    """The number of frames of a clip, and the seconds from the first to the last."""
    index = int(rng.choice(len(_SHAPES), p=[share for _, _, share in _SHAPES]))
    return _SHAPES[index][0], _SHAPES[index][1]


def draw_clip(rng: np.random.Generator, shape: tuple[int, float]) -> Sample:
    """A clip, about half of them with an anomaly; a short one with only one anomalous frame is drawn again."""
    count, span = shape
    while True:
        anomalous = bool(rng.random() < 0.55)
        drawn = random_script(rng, span + 16, int(anomalous))
        times = _draw_times(rng, drawn, count, span)
        frames = sum(
            any(EVENT_CLASSES[e.class_name].anomalous and e.start <= t < e.stop for e in drawn.events) for t in times
        )
        if frames == 0 or frames >= (2 if span < 4 else 1):
            grains = rng.integers(0, 1464, count)
            pictures = tuple(render(drawn, t, int(grain)) for t, grain in zip(times, grains, strict=True))
            return Sample(
                pictures,
                reference_answer(drawn, times),
                tuple(event_class(reference_answer(drawn, [t])) for t in times),
                _visible_classes(drawn, times),
            )


def _visible_classes(drawn: Script, times: Sequence[float]) -> dict[str, int]:
    """Class -> the number of these times at which an event of it is visible."""
    at_times = [{found.name for event in drawn.events if (found := event.class_at(t))} for t in times]
    return Counter(name for names in at_times for name in names)


def _draw_times(rng: np.random.Generator, drawn: Script, count: int, span: float) -> list[float]:
    """Evenly spaced times of frames; they mostly overlap the anomaly if there is one."""
    anomalies = [event for event in drawn.events if EVENT_CLASSES[event.class_name].anomalous]
    last = drawn.seconds - span
    first = float(rng.uniform(0, last))
    if anomalies and rng.random() < 0.9:
        anomaly = anomalies[0]
        first = float(np.clip(rng.uniform(anomaly.start - 0.7 * span, anomaly.stop - 0.3 * span), 0, last))
    return [first + span * k / max(1, count - 1) for k in range(count)]


def draw_stills(rng: np.random.Generator, count: int, share: float = 0.75) -> list[Sample]:
    """Single frames, six of each script; `share` of the scripts have an anomaly, with four of the six near it."""
    samples: list[Sample] = []
    while len(samples) < count:
        drawn = random_script(rng, 18, int(rng.random() < share))
        anomalies = [event for event in drawn.events if EVENT_CLASSES[event.class_name].anomalous]
        interval = (anomalies[0].start - 1, anomalies[0].stop) if anomalies else (0.0, drawn.seconds)
        times = [float(t) for t in (*rng.uniform(*interval, 4), *rng.uniform(0, drawn.seconds, 2))]
        for t in times:
            reference = reference_answer(drawn, [t])
            frame = render(drawn, t, int(rng.integers(1464)))
            samples.append(Sample((frame,), reference, (event_class(reference),)))
    return samples[:count]


def event_class(reference: ReferenceAnswer) -> int:
    """The number of the kind of event, from 1; 0 for none."""
    return 1 + _NAMES.index(reference.event_class.name) if reference.event_class else 0


def patches(labels: NDArray[np.uint8], side: int = 8) -> NDArray[np.int64]:
    """The most frequent label of each 8x8 patch, shape (64,); NOTHING where no object covers 6 pixels."""
    cells = labels.reshape(side, 64 // side, side, 64 // side).swapaxes(1, 2).reshape(side * side, -1)
    counts = np.stack([(cells == label).sum(axis=1) for label in Label], axis=1)
    counts[:, 0] = 5  # NOTHING: any label with more pixels wins
    return np.asarray(counts.argmax(axis=1), np.int64)


def draw_query(prompts: dict[str, Prompt], name: str, frames: int, draw: random.Random, **fields: str) -> GenerateQuery:
    """The prompt `name` about `frames` frames; one in five is worded differently, if it has no numbered questions."""
    prompt = prompts[name]
    if name not in GUIDING_QUESTIONS and draw.random() < 0.2:
        text = paraphrases.draw_paraphrase(name, draw)
        prompt = replace(prompt, text=f"$frames\n{text}") if frames else replace(prompt, system=text)
    return prompt.query(_NOWHERE, Segment(0, frames, tuple(range(frames)), 0), None, **fields)


def answer(name: str, truth: ReferenceAnswer, fields: dict[str, str]) -> str:
    """The right answer to the prompt `name`, except for boxes."""
    if name == "verdict":
        return f"```\n{'Anomalous' if truth.anomalous else 'Normal'} scenes.\n{truth.sentence}\n```"
    if name == "tags":
        return "[" + ", ".join(f'"{tag}"' for tag in truth.tags) + "]"
    if name == "understand":
        return truth.description
    if name == "threshold":
        return "YES" if truth.severity >= float(fields["threshold"]) - 1e-9 else "NO"
    if name == "watch":
        return "YES" if truth.anomalous else "NO"
    if name in ("guided_digit", "guided_xd_digit"):
        return f"[{int(truth.anomalous)}]"
    if name in GUIDING_QUESTIONS:
        return _guided_answer(GUIDING_QUESTIONS[name], truth)
    return f"[{truth.severity:.1f}]" if name == "score" else truth.sentence


def _guided_answer(question_of: Mapping[str, int], truth: ReferenceAnswer) -> str:
    """Five answers in words, and whether one of them is yes."""
    yes = question_of.get(truth.event_class.name, 0) if truth.event_class else 0
    clause = truth.event_class.clause if truth.event_class else ""
    lines = [f"{k}. Yes, {clause}." if k == yes else f"{k}. No." for k in range(1, 6)]
    return "\n".join([*lines, f"[{int(yes > 0)}]"])


def draw_box_answer(frame: RenderedFrame, draw: random.Random) -> str:
    """The box as JSON, in thousandths of the width and height, as for every InternVL; or an empty list.

    Noise of about a pixel is added to the edges: to next-token prediction 20 is as far from 21 as from 60, and the
    noise teaches which numbers are close.
    """
    if frame.box is None:
        return "[]"
    corners = ", ".join(str(thousandths(min(SIDE, max(0, round(edge + draw.gauss(0, 1)))))) for edge in frame.box)
    return f'[{{"bbox_2d": [{corners}], "confidence": 0.9}}]'


def thousandths(pixel: int) -> int:
    """A coordinate in pixels as thousandths of the picture's side."""
    return round(pixel * 1000 / SIDE)


def draw_fields(name: str, truth: ReferenceAnswer, draw: random.Random) -> dict[str, str]:
    """Values for a prompt's placeholders: tags (sometimes wrong), a threshold, a prior."""
    if name == "threshold":
        return {"threshold": f"{draw.randint(1, 10) / 10:.1f}"}
    if name not in ("box", "understand", "rerate"):
        return {}
    names = [*truth.tags] if draw.random() < 0.7 else []
    if draw.random() < (0.15 if truth.anomalous else 0.5):
        names = [EVENT_CLASSES[draw.choice(ANOMALOUS)].tag]
    tags = ", ".join(names) or ("anything suspicious" if name == "box" else "none")
    return {"tags": tags} | ({"prior": draw.choice(PRIORS)} if name == "rerate" else {})


def draw_summary(rng: np.random.Generator, draw: random.Random) -> tuple[str, ReferenceAnswer]:
    """Captions of up to ten frames, one per line and some of them wrong, and the reference answer for all frames."""
    count = draw.choice((10, 10, 10, 6, 3))
    drawn = random_script(rng, 25, int(rng.random() < 0.55))
    times = _draw_times(rng, drawn, count, 0.9 * count)
    frames = [
        reference_answer(drawn, [t] if draw.random() > 0.06 else [float(rng.uniform(0, drawn.seconds))]) for t in times
    ]
    return "\n".join(frame.sentence for frame in frames), reference_answer(drawn, times)


def draw_reference_answer(draw: random.Random) -> ReferenceAnswer:
    """A reference answer without frames."""
    kind = draw.choice((None, *EVENT_CLASSES.values()))
    places = kind.places if kind else ("street", "courtyard", "car park", "corridor")
    return ReferenceAnswer(event_class=kind, place=draw.choice(places), night=draw.random() < 0.5)


def captions(truth: ReferenceAnswer) -> Sequence[str]:
    """Longer and shorter texts of the same reference answer."""
    clause = truth.event_class.clause if truth.event_class else "nothing moves"
    short, long = f"{clause[0].upper()}{clause[1:]}.", f"A surveillance video shows that {clause}."
    return truth.sentence, truth.sentence, short, clause, truth.description, long
