from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runs_made import make

from vaa.compare.differences import differences
from vaa.report.runs import Run

Made = dict[str, Any]
VIDEO = ({"v": [0.1, 0.9]}, {"v": (0, 9)})


def differ(folder: Path, *runs: Made) -> dict[str, tuple[str, ...]]:
    return differences([Run(make(folder / str(k), *VIDEO, **run)) for k, run in enumerate(runs)])


def chosen(smoothing: str, size: int = 9, *overrides: str, **other: Any) -> Made:
    fields = {"_target_": "Kernel", "size": size, "sigma": 5} if smoothing != "none" else {"_target_": "Keep"}
    config = {"smoothing": fields, "stages": {"smooth": "${smoothing}"}, **other}
    return {"choices": {"method": "corevad", "smoothing": smoothing}, "config": config, "overrides": overrides}


def test_a_choice_stands_for_all_it_brings(tmp_path: Path) -> None:
    found = differ(tmp_path, chosen("none"), chosen("gaussian9", 9, "smoothing=gaussian9"))
    assert found == {"smoothing": ("none", "gaussian9")}


def test_a_number_set_by_hand_is_shown_beside_the_choice(tmp_path: Path) -> None:
    found = differ(tmp_path, chosen("none"), chosen("gaussian9", 5, "smoothing.size=5"), chosen("gaussian9", 9))
    assert found == {"smoothing": ("none", "gaussian9", "gaussian9"), "smoothing.size": ("-", "5", "9")}


def test_what_no_number_hangs_on_never_counts(tmp_path: Path) -> None:
    outside: dict[str, Any] = {"wandb": {"name": "a"}, "cache": "here", "plots": True, "max_unparsed": 0.1}
    other: dict[str, Any] = {"wandb": {"name": "b"}, "cache": None, "plots": False, "max_unparsed": 1.0}
    again = chosen("none", 9, "cache=null", "plots=false", **other)
    assert differ(tmp_path, chosen("none", **outside), again) == {}


def test_a_stage_taken_out_is_one_column(tmp_path: Path) -> None:
    stage = {"_target_": "Refine", "encoder": "${encoder}", "temperature": 0.05}
    with_it = {"choices": {"method": "m"}, "config": {"stages": {"refine": stage, "keep": 1}}}
    without = {"choices": {"method": "m"}, "config": {"stages": {"keep": 1}}, "overrides": ["~stages.refine"]}
    found = differ(tmp_path, with_it, without)
    assert found["stages.refine"] == ("with", "without")


def test_paths_are_shown_from_where_they_part(tmp_path: Path) -> None:
    roots = ("/data/r/scores/a", "/data/r/refined_scores/a")
    runs = [
        {"choices": {"method": "m"}, "config": {"scores": {"root": root}}, "overrides": [f"scores.root={root}"]}
        for root in roots
    ]
    assert differ(tmp_path, *runs) == {"scores.root": ("scores/a", "refined_scores/a")}


def test_the_folder_of_a_data_set_says_no_more_than_its_name(tmp_path: Path) -> None:
    runs = [
        {
            "choices": {"method": "m", "data": name},
            "config": {"data": {"name": name, "root": f"/data/{name}"}},
            "overrides": [f"data={name}", f"data.root=/data/{name}"],
        }
        for name in ("ucf", "xd")
    ]
    assert differ(tmp_path, *runs) == {"data": ("ucf", "xd")}


def test_an_experiment_is_shown_only_if_nothing_else_tells_what_it_changes(tmp_path: Path) -> None:
    def run(experiment: str, position: str, prior: str) -> Made:
        config = {"stages": {"locate": {"prior": prior}}, "position": {"_target_": position}}
        return {
            "choices": {"method": "m", "experiment": experiment, "position": position},
            "config": config,
            "overrides": [f"experiment={experiment}"],
        }

    assert differ(tmp_path / "a", run("None", "none", "x"), run("b", "centre", "x")) == {"position": ("none", "centre")}
    found = differ(tmp_path / "b", run("None", "none", "x"), run("b", "none", "y"), run("c", "none", "z"))
    assert found == {"experiment": ("-", "b", "c")}


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_a_method_brings_is_not_shown_unless_it_was_chosen(tmp_path: Path, by_hand: bool) -> None:
    first: Made = {"choices": {"method": "scored", "smoothing": "filter10"}}
    second: Made = {"choices": {"method": "corevad", "smoothing": "none", "vlm": "recorded"}}
    second["overrides"] = ["vlm=recorded", *(["smoothing=none"] if by_hand else [])]
    found = differ(tmp_path, first, second)
    assert found.pop("method") == ("scored", "corevad")
    assert found == ({"smoothing": ("filter10", "none")} if by_hand else {})
