from __future__ import annotations

import pytest

from vaa.overrides import unused

CONFIG = {
    "stages": {"ask": {"vlm": "${vlm}", "prompt": "${prompt}"}, "smooth": "${smoothing}"},
    "vlm": {"checkpoint": "tiny", "decoder": "${reader}"},
    "encoder": {"checkpoint": "clip", "mean": ["${statistics.mean}"]},
    "statistics": {"mean": 0.5},
    "prompt": {"text": "what?"},
    "smoothing": {"sigma": 10},
    "position": {"width": 0.5},
    "decoder": "decord",
    "limit": None,
    "data": {"root": "${oc.env:HOME}"},
}
READ = ("stages", "data", "limit")


@pytest.mark.parametrize(
    "override",
    [
        "stages.ask.vlm=x",
        "~stages.smooth",
        "vlm=recorded",
        "vlm.checkpoint=x",
        "+vlm.new=1",
        "decoder=pyav",  # by way of vlm
        "limit=3",
        "smoothing@smoothing=none",
        "method=corevad",  # a group that leaves no part of its own
        "hydra.verbose=true",
        "+experiment=x",
    ],
)
def test_an_override_that_is_used_passes(override: str) -> None:
    assert unused(CONFIG, [override], READ) == []


@pytest.mark.parametrize(
    "override",
    [
        "encoder=clip",
        "encoder.checkpoint=x",
        "++position.width=0.25",
        "~position",
        "statistics.mean=0",
        "encoder@encoder=x",
    ],
)
def test_an_override_that_would_change_nothing_is_named(override: str) -> None:
    assert unused(CONFIG, ["vlm=recorded", override, "limit=3"], READ) == [override]


def test_references_within_lists_and_resolvers_count() -> None:
    config = CONFIG | {"limit": ["${encoder}", "a ${prompt.text} and ${oc.select:position,none}"]}
    assert unused(config, ["encoder=x", "statistics.mean=0"], READ) == []


def test_parts_that_refer_to_each_other_are_no_endless_loop() -> None:
    assert unused({"stages": "${a}", "a": "${b}", "b": "${a}", "c": "${c}"}, ["b=1", "c=1"], ("stages",)) == ["c=1"]
