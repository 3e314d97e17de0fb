"""Numbers that VADTree's authors released, counted from their scores by `protocol=`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from in_process import run


def metrics(folder: Path, root: Path, *args: str) -> dict[str, float]:
    values: dict[str, float] = json.loads((run(folder, *args, f"data.root={root}") / "metrics.json").read_text())
    return values


def test_vadtrees_ensemble_of_msad_by_class(tmp_path: Path, shared: Path) -> None:
    root = shared / "recorded/vadtree/MSAD"
    values = metrics(tmp_path / "run", root, "experiment=vadtree_msad", "protocol=[lavad,anomalous,classes]")
    names = ("roc_auc", "pr_auc", "anomalous_roc_auc", "anomalous_pr_auc")
    assert [round(values[name], 4) for name in names] == [0.8932, 0.7141, 0.6785, 0.7549]
    released = json.loads((root / "ensemble/metric.json").read_text())["dataset_metric"]
    classes = [name for name in released if name not in ("all", "Abnormal", "Normal")]
    assert len(classes) == 11
    for name in classes:
        word = name.split()[0]  # the class in the annotation
        pair = values[f"within_class_roc_auc/{word}"], values[f"within_class_pr_auc/{word}"]
        assert pair == pytest.approx((released[name]["roc_auc"], released[name]["pr_auc"]), abs=5.1e-5), name


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["protocol=vadtree"], [0.8276, 0.3247, 0.6999, 0.3639]),
        (["protocol=[lavad,anomalous]", "scores.field=raw"], [0.7567, 0.3153, 0.6815, 0.3784]),
    ],
)
def test_vadtrees_coarse_nodes_of_ucf_crime(
    tmp_path: Path, shared: Path, overrides: list[str], expected: list[float]
) -> None:
    root = shared / "recorded/vadtree/UCF"
    scores = f"scores.root={root}/coarse/refined.json"
    values = metrics(tmp_path / "run", root, "method=scored", "data=ucf_crime", scores, *overrides)
    names = ("roc_auc", "pr_auc", "anomalous_roc_auc", "anomalous_pr_auc")
    assert [round(values[name], 4) for name in names] == expected
