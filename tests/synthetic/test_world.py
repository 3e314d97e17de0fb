from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vaa.synthetic.canvas import SIDE, Label
from vaa.synthetic.kinds import ANOMALOUS, KINDS, Kind
from vaa.synthetic.places import PLACES
from vaa.synthetic.words import account
from vaa.synthetic.world import Event, Script, cast, picture, scene, script


def played(kind: Kind, seed: int) -> Script:
    """A script with nothing in it but one event."""
    rng = np.random.default_rng(seed)
    where = scene(rng)
    while where.place not in kind.places:
        where = scene(rng)
    return Script(where, (Event(kind.name, 3.0, 8.0, cast(rng, 16)),), 10.0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_event_is_seen_while_it_is_on_and_only_then(kind: Kind) -> None:
    told = played(kind, 1)
    seen = [picture(told, t, 0) for t in np.arange(0.05, 10, 0.5)]
    on = [told.events[0].seen_as(float(t)) is not None for t in np.arange(0.05, 10, 0.5)]
    drawn = [bool(shown.labels.any()) for shown in seen]
    assert not any(d and not o for d, o in zip(drawn, on, strict=True))
    assert sum(drawn) >= 0.7 * sum(on)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_only_an_anomaly_has_a_box_and_it_holds_what_was_drawn(kind: Kind) -> None:
    told = played(kind, 2)
    for t in np.arange(0.05, 10, 0.7):
        shown = picture(told, float(t), 3)
        if kind.name not in ANOMALOUS or not 3 <= t < 8:
            assert shown.box is None
            continue
        assert shown.box is not None
        x1, y1, x2, y2 = shown.box
        assert 0 <= x1 < x2 <= SIDE
        assert 0 <= y1 < y2 <= SIDE
        rows, columns = np.nonzero(shown.labels)
        assert columns.min() >= x1 - 1.5
        assert columns.max() <= x2 + 1.5
        assert rows.min() >= y1 - 1.5
        assert rows.max() <= y2 + 1.5


def test_the_same_seed_draws_the_same_world() -> None:
    first, second = (script(np.random.default_rng(7), 30, 1) for _ in range(2))
    assert first.events == second.events
    assert np.array_equal(picture(first, 4.2, 5).pixels, picture(second, 4.2, 5).pixels)
    assert not np.array_equal(picture(first, 4.2, 5).pixels, picture(first, 4.2, 6).pixels)


@pytest.mark.parametrize("anomalies", [0, 1, 2])
def test_a_script_has_the_anomalies_asked_for_and_nothing_out_of_place(anomalies: int) -> None:
    for seed in range(12):
        told = script(np.random.default_rng(seed), 60, anomalies)
        kinds = [KINDS[event.kind] for event in told.events]
        assert all(told.scene.place in kind.places for kind in kinds)
        assert sum(kind.anomalous for kind in kinds) <= anomalies
        assert anomalies == 0 or any(kind.anomalous for kind in kinds)


def test_events_follow_one_another() -> None:
    told = script(np.random.default_rng(3), 60, 1)
    main = told.events if told.events[0].start < told.events[1].start else told.events[1:]
    in_turn = [e for e in main if e is not told.events[0] or e.kind != "walk"]
    assert all(a.stop <= b.start - KINDS[b.kind].lead for a, b in pairwise(in_turn))


@pytest.mark.parametrize("place", PLACES)
def test_a_place_is_a_picture(place: str) -> None:
    empty = PLACES[place](np.random.default_rng(0))
    assert empty.shape == (SIDE, SIDE, 3)
    assert empty.min() >= 0
    assert empty.max() <= 255
    assert empty.std() > 10


@pytest.mark.parametrize("name", ANOMALOUS)
def test_an_anomaly_is_told_with_its_class_and_reason(name: str) -> None:
    told = account(played(KINDS[name], 4), [4.0, 5.0])
    assert told.anomalous
    assert told.tags == (KINDS[name].tag,)
    assert KINDS[name].clause in told.sentence.lower()
    assert KINDS[name].reason in told.description
    assert told.severity > 0.5


def test_before_a_crash_a_car_drives_past_and_after_it_nothing_moves() -> None:
    told = played(KINDS["crash"], 5)
    assert account(told, [2.5]).sentence.startswith("A car drives past")
    assert account(told, [9.0]).sentence.startswith("Nothing moves")
    assert "appears normal" in account(told, [9.0]).description


def test_lying_people_are_labelled_as_such() -> None:
    assert (picture(played(KINDS["collapse"], 6), 6.0, 0).labels == Label.LYING).sum() > 20
