from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_folders import make

from vaa.compare.differences import differences
from vaa.report.runs import Run

RunFields = dict[str, Any]
VIDEO = ({"v": [0.1, 0.9]}, {"v": (0, 9)})


def differ(folder: Path, *runs: RunFields) -> dict[str, tuple[str, ...]]:
    return differences([Run(make(folder / str(k), *VIDEO, **run)) for k, run in enumerate(runs)])


def run(smoothing: str, size: int = 9, *overrides: str, **other: Any) -> RunFields:
    fields = {"_target_": "Kernel", "size": size, "sigma": 5} if smoothing != "none" else {"_target_": "Keep"}
    config = {"smoothing": fields, "stages": {"smooth": "${smoothing}"}, **other}
    return {"choices": {"method": "corevad", "smoothing": smoothing}, "config": config, "overrides": overrides}


def test_a_choice_represents_its_fields(tmp_path: Path) -> None:
    columns = differ(tmp_path, run("none"), run("gaussian9", 9, "smoothing=gaussian9"))
    assert columns == {"smoothing": ("none", "gaussian9")}


def test_an_overridden_field_is_shown_beside_the_choice(tmp_path: Path) -> None:
    columns = differ(tmp_path, run("none"), run("gaussian9", 5, "smoothing.size=5"), run("gaussian9", 9))
    assert columns == {"smoothing": ("none", "gaussian9", "gaussian9"), "smoothing.size": ("-", "5", "9")}


def test_fields_that_change_no_number_are_ignored(tmp_path: Path) -> None:
    ignored: dict[str, Any] = {"wandb": {"name": "a"}, "cache": "here", "plots": True, "max_unparsed": 0.1}
    other: dict[str, Any] = {"wandb": {"name": "b"}, "cache": None, "plots": False, "max_unparsed": 1.0}
    again = run("none", 9, "cache=null", "plots=false", **other)
    assert differ(tmp_path, run("none", **ignored), again) == {}


def test_a_removed_stage_is_one_column(tmp_path: Path) -> None:
    stage = {"_target_": "Refine", "encoder": "${encoder}", "temperature": 0.05}
    with_it = {"choices": {"method": "m"}, "config": {"stages": {"refine": stage, "keep": 1}}}
    without = {"choices": {"method": "m"}, "config": {"stages": {"keep": 1}}, "overrides": ["~stages.refine"]}
    columns = differ(tmp_path, with_it, without)
    assert columns["stages.refine"] == ("with", "without")


def test_paths_are_relative_to_their_common_folder(tmp_path: Path) -> None:
    roots = ("/data/r/scores/a", "/data/r/refined_scores/a")
    runs = [
        {"choices": {"method": "m"}, "config": {"scores": {"root": root}}, "overrides": [f"scores.root={root}"]}
        for root in roots
    ]
    assert differ(tmp_path, *runs) == {"scores.root": ("scores/a", "refined_scores/a")}


def test_the_folder_of_a_data_set_is_not_shown_beside_its_name(tmp_path: Path) -> None:
    runs = [
        {
            "choices": {"method": "m", "data": name},
            "config": {"data": {"name": name, "root": f"/data/{name}"}},
            "overrides": [f"data={name}", f"data.root=/data/{name}"],
        }
        for name in ("ucf", "xd")
    ]
    assert differ(tmp_path, *runs) == {"data": ("ucf", "xd")}


def test_an_experiment_is_shown_only_if_no_other_column_shows_its_change(tmp_path: Path) -> None:
    def run(experiment: str, position: str, prior: str) -> RunFields:
        config = {"stages": {"locate": {"prior": prior}}, "position": {"_target_": position}}
        return {
            "choices": {"method": "m", "experiment": experiment, "position": position},
            "config": config,
            "overrides": [f"experiment={experiment}"],
        }

    assert differ(tmp_path / "a", run("None", "none", "x"), run("b", "centre", "x")) == {"position": ("none", "centre")}
    columns = differ(tmp_path / "b", run("None", "none", "x"), run("b", "none", "y"), run("c", "none", "z"))
    assert columns == {"experiment": ("-", "b", "c")}


@pytest.mark.parametrize("overridden", [True, False])
def test_the_choices_of_a_method_are_shown_only_if_overridden(tmp_path: Path, overridden: bool) -> None:
    first: RunFields = {"choices": {"method": "scored", "smoothing": "filter10"}}
    second: RunFields = {"choices": {"method": "corevad", "smoothing": "none", "vlm": "recorded"}}
    second["overrides"] = ["vlm=recorded", *(["smoothing=none"] if overridden else [])]
    columns = differ(tmp_path, first, second)
    assert columns.pop("method") == ("scored", "corevad")
    assert columns == ({"smoothing": ("filter10", "none")} if overridden else {})
