from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vaa.synthetic.backgrounds import BACKGROUNDS
from vaa.synthetic.canvas import SIDE, Label
from vaa.synthetic.events import ANOMALOUS, EVENT_CLASSES, EventClass
from vaa.synthetic.script import (
    Event,
    Script,
    random_actors,
    random_scene,
    random_script,
    reference_answer,
    render,
)


def single_event(event_class: EventClass, seed: int) -> Script:
    """A script with one event, from second 3 to 8."""
    rng = np.random.default_rng(seed)
    scene = random_scene(rng)
    while scene.place not in event_class.places:
        scene = random_scene(rng)
    event = Event(class_name=event_class.name, start=3.0, stop=8.0, actors=random_actors(rng, 16))
    return Script(scene=scene, events=(event,), seconds=10.0)


@pytest.mark.parametrize("event_class", EVENT_CLASSES.values(), ids=EVENT_CLASSES)
def test_an_event_is_visible_while_it_lasts_and_only_then(event_class: EventClass) -> None:
    script, times = single_event(event_class, 1), np.arange(0.05, 10, 0.5)
    lasts = [script.events[0].class_at(float(t)) is not None for t in times]
    visible = [bool(render(script, t, 0).labels.any()) for t in times]
    assert not any(a and not b for a, b in zip(visible, lasts, strict=True))
    assert sum(visible) >= 0.7 * sum(lasts)


@pytest.mark.parametrize("event_class", EVENT_CLASSES.values(), ids=EVENT_CLASSES)
def test_only_an_anomaly_has_a_box_and_it_contains_all_labels(event_class: EventClass) -> None:
    script = single_event(event_class, 2)
    for t in np.arange(0.05, 10, 0.7):
        frame = render(script, float(t), 3)
        if event_class.name not in ANOMALOUS or not 3 <= t < 8:
            assert frame.box is None
            continue
        assert frame.box is not None
        x1, y1, x2, y2 = frame.box
        assert 0 <= x1 < x2 <= SIDE
        assert 0 <= y1 < y2 <= SIDE
        rows, columns = np.nonzero(frame.labels)
        assert columns.min() >= x1 - 1.5
        assert columns.max() <= x2 + 1.5
        assert rows.min() >= y1 - 1.5
        assert rows.max() <= y2 + 1.5


def test_the_same_seed_gives_the_same_script_and_frames() -> None:
    first, second = (random_script(np.random.default_rng(7), 30, 1) for _ in range(2))
    assert first.events == second.events
    assert np.array_equal(render(first, 4.2, 5).pixels, render(second, 4.2, 5).pixels)
    assert not np.array_equal(render(first, 4.2, 5).pixels, render(first, 4.2, 6).pixels)


@pytest.mark.parametrize("anomalies", [0, 1, 2])
def test_a_script_has_at_most_the_given_anomalies_and_events_that_fit_the_place(anomalies: int) -> None:
    for seed in range(12):
        script = random_script(np.random.default_rng(seed), 60, anomalies)
        classes = [EVENT_CLASSES[event.class_name] for event in script.events]
        assert all(script.scene.place in event_class.places for event_class in classes)
        assert sum(event_class.anomalous for event_class in classes) <= anomalies
        assert anomalies == 0 or any(event_class.anomalous for event_class in classes)


def test_events_follow_one_another() -> None:
    events = random_script(np.random.default_rng(3), 60, 1).events
    main = events if events[0].start < events[1].start else events[1:]
    in_turn = [event for event in main if event is not events[0] or event.class_name != "walk"]
    assert all(a.stop <= b.start - EVENT_CLASSES[b.class_name].lead_seconds for a, b in pairwise(in_turn))


@pytest.mark.parametrize("place", BACKGROUNDS)
def test_a_background_is_an_image(place: str) -> None:
    background = BACKGROUNDS[place](np.random.default_rng(0))
    assert background.shape == (SIDE, SIDE, 3)
    assert background.min() >= 0
    assert background.max() <= 255
    assert background.std() > 10


@pytest.mark.parametrize("name", ANOMALOUS)
def test_the_reference_answer_for_an_anomaly_has_its_class_and_reason(name: str) -> None:
    event_class = EVENT_CLASSES[name]
    answer = reference_answer(single_event(event_class, 4), [4.0, 5.0])
    assert answer.anomalous
    assert answer.tags == (event_class.tag,)
    assert event_class.clause in answer.sentence.lower()
    assert event_class.reason in answer.description
    assert answer.severity > 0.5


def test_before_a_crash_a_car_drives_past_and_after_it_nothing_moves() -> None:
    script = single_event(EVENT_CLASSES["crash"], 5)
    assert reference_answer(script, [2.5]).sentence.startswith("A car drives past")
    assert reference_answer(script, [9.0]).sentence.startswith("Nothing moves")
    assert "appears normal" in reference_answer(script, [9.0]).description


def test_a_person_who_lies_on_the_ground_has_its_label() -> None:
    assert (render(single_event(EVENT_CLASSES["collapse"], 6), 6.0, 0).labels == Label.LYING).sum() > 20
