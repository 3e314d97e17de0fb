"""Overrides without effect, and the keys that a multirun sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vaa.errors import OutputError
from vaa.overrides import check_sweep_folder, swept, unused

CONFIG = {
    "prompts": {"rate": {"text": "?"}, "tags": {"text": "!"}},
    "run": {
        "rate": "${prompts.rate}",
        "stages": "${stages}",
        "data": "${data}",
        "limit": "${limit}",
        "online": "${online}",
    },
    "stages": {"ask": {"vlm": "${vlm}", "prompt": "${prompt}"}, "smooth": "${smoothing}"},
    "vlm": {"checkpoint": "tiny", "decoder": "${decoder}"},
    "encoder": {"checkpoint": "clip", "mean": ["${statistics.mean}"]},
    "statistics": {"mean": 0.5},
    "prompt": {"text": "what?"},
    "smoothing": {"sigma": 10},
    "position": {"width": 0.5},
    "decoder": "decord",
    "limit": None,
    "online": {"delay": 0.0},
    "data": {"root": "${oc.env:HOME}"},
}
USED = {"run"}


@pytest.mark.parametrize(
    "override",
    [
        "stages.ask.vlm=x",
        "~stages.smooth",
        "vlm=recorded",
        "vlm.checkpoint=x",
        "+vlm.new=1",
        "decoder=pyav",  # through vlm
        "limit=3",
        "online.delay=1",
        "smoothing@smoothing=none",
        "prompts=x",
        "prompts.rate.text=x",
        "method=corevad",  # a group without a key of its own
        "hydra.verbose=true",
        "+experiment=x",
    ],
)
def test_an_override_with_an_effect_passes(override: str) -> None:
    assert unused(CONFIG, [override], USED) == []


@pytest.mark.parametrize(
    "override",
    [
        "encoder=clip",
        "encoder.checkpoint=x",
        "++position.width=0.25",
        "~position",
        "statistics.mean=0",
        "encoder@encoder=x",
        "prompts.tags.text=x",
        "prompts.tag=x",
    ],
)
def test_an_override_without_effect_is_named(override: str) -> None:
    assert unused(CONFIG, ["vlm=recorded", override, "limit=3"], USED) == [override]


def test_a_skipped_key_counts_as_unused() -> None:
    assert unused(CONFIG, ["online.delay=1", "limit=3"], USED, skip={"online"}) == ["online.delay=1"]


def test_references_in_lists_and_resolvers_count() -> None:
    config = CONFIG | {"limit": ["${encoder}", "a ${prompt.text} and ${oc.select:position,none}"]}
    assert unused(config, ["encoder=x", "statistics.mean=0"], USED) == []


def test_circular_references_end() -> None:
    assert unused({"run": "${a}", "a": "${b}", "b": "${a}", "c": "${c}"}, ["b=1", "c=1"], USED) == ["c=1"]


def test_swept_keys_come_with_their_values(tmp_path: Path) -> None:
    file = tmp_path / "multirun.yaml"
    file.write_text(
        "hydra:\n  sweeper: {params: {seed: 'range(0,3)'}}\n"
        "  overrides: {task: ['smoothing=none,gaussian9', 'limit=3', 'position.width=interval(0,1)', prompt=glob(*)]}\n"
    )
    assert swept(file) == {
        "smoothing": ["none", "gaussian9"],
        "position.width": [],
        "prompt": [],
        "seed": ["0", "1", "2"],
    }
    assert swept(tmp_path / "missing.yaml") == {}


def test_a_multirun_does_not_overwrite_the_file_of_another(tmp_path: Path) -> None:
    args = ["-m", "a=1,2", f'hydra.sweep.dir="{tmp_path}"', "b=3"]
    check_sweep_folder(args)
    earlier = {"runtime": {"cwd": str(Path.cwd())}, "overrides": {"task": ["a=1,2", "b=3"]}}
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": earlier}))
    check_sweep_folder(args)
    for other in (["a=1,2"], ["a=1", "b=3"], ["a=1,2", "b=3", "+doctor=true"]):
        with pytest.raises(OutputError, match=r"multirun\.yaml.*hydra\.sweep\.dir"):
            check_sweep_folder(["--multirun", f"hydra.sweep.dir={tmp_path}", *other])
    check_sweep_folder([f"hydra.sweep.dir={tmp_path}", "a=1"])  # a single run
    (tmp_path / "multirun.yaml").write_text("not ours: [")
    with pytest.raises(OutputError, match=r"multirun\.yaml"):
        check_sweep_folder(args)
