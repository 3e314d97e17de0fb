"""Settings are selected on some videos and reported on others; selection on the reported labels is marked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import run_folders
import yaml
from scipy.ndimage import gaussian_filter1d

from vaa.errors import ConfigError, DataError
from vaa.report.runs import Run
from vaa.stages.scores import CentreWeight, Identity
from vaa.tune import selection
from vaa.tune.__main__ import main
from vaa.tune.selection import SelectionRule
from vaa.tune.settings import AS_IT_IS, Setting, build_stages, grid_settings
from vaa.tune.tunable_run import TunableRun, load_run

SCORES = {"field": "refined", "step": 1, "lowest": 0.0, "highest": 1.0}
RULE = SelectionRule(("roc_auc",), 1)
GRID = [["smoothing.sigma=0.5,1,2,4"], ["smoothing=none", "position=none,centre"]]


def make_run(folder: Path, seed: int, name: str = "run", prefix: str = "", count: int = 12) -> Path:
    """A run of method=scored with sigma 1, as run.py writes it: score files, config, and labels in its folder."""
    tracks, spans = run_folders.videos(seed, count, gain=0.3)
    tracks = {f"{prefix}{video}": np.minimum(track, 1.0).tolist() for video, track in tracks.items()}
    root = folder / f"{name}_scores"
    root.mkdir(parents=True)
    for video, track in tracks.items():
        (root / f"{video}.json").write_text(json.dumps({10 * k: score for k, score in enumerate(track)}))
    config = {
        "scores": {"_target_": "vaa.stages.read_scores.ReadScores", "root": root.name, **SCORES},
        "smoothing": {"_target_": "vaa.stages.scores.GaussianFilter", "sigma": 1.0},
        "position": {"_target_": "vaa.stages.scores.Identity"},
        "vlm": {"_target_": "vaa.models.recorded.RecordedModel"},
        "stages": {
            "read": "${scores}",
            "smooth": "${smoothing}",
            "frames": {"_target_": "vaa.stages.scores.ExpandToFrames"},
            "position": "${position}",
        },
    }
    smoothed = {video: gaussian_filter1d(np.array(track), 1.0).tolist() for video, track in tracks.items()}
    spans = {f"{prefix}{video}": span for video, span in spans.items()}
    written = run_folders.make(folder / name, smoothed, spans)
    (written / ".hydra/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (written / ".hydra/hydra.yaml").write_text(
        yaml.safe_dump({"hydra": {"runtime": {"choices": {}, "cwd": str(folder)}}})
    )
    return written


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path, 1)


def load(folder: Path, grids: Sequence[Sequence[str]] = GRID) -> TunableRun:
    return load_run(Run(folder), grid_settings(grids))


def rows(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict[str, str]]:
    assert main([*args, "--format", "csv", "--resamples", "50"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def error_message(capsys: pytest.CaptureFixture[str], *args: str, status: int = ConfigError.exit_status) -> str:
    assert main([*args]) == status
    return capsys.readouterr().err


def test_a_grid_is_every_combination_once_after_the_run_as_it_is() -> None:
    settings = grid_settings([["a.b=1,2", "c=x,y"], ["c=x"], ["c=x"]])
    assert [setting.name for setting in settings] == [
        "as it is",
        *(f"a.b={n} c={w}" for n in "12" for w in "xy"),
        "c=x",
    ]


@pytest.mark.parametrize("argument", ["sigma", "=1", "smoothing.sigma=", "smoothing.sigma=1,,2"])
def test_an_argument_that_is_not_a_grid_is_refused(
    run: Path, argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"--grid {argument}: expected KEY=VALUE,VALUE" in error_message(capsys, str(run), "--grid", argument)


def test_the_run_as_it_is_has_its_own_metrics(run: Path) -> None:
    tunable = load(run)
    settings = dict.fromkeys(tunable.videos, AS_IT_IS)
    measures = tunable.measure(settings, selection.no_folds(tunable), ("roc_auc", "within_video_auc"))
    for name, measure in measures.items():
        assert measure.value == pytest.approx(run_folders.metrics(run)[name], abs=1e-12)


def test_the_stages_of_a_setting_are_applied_to_the_recorded_scores(run: Path) -> None:
    tunable = load(run, [["smoothing.sigma=2"]])
    raw = json.loads((run.parent / "run_scores/v03.json").read_text())
    expected = gaussian_filter1d(np.array(list(raw.values())), 2.0).repeat(10)
    (_, setting) = grid_settings([["smoothing.sigma=2"]])
    assert tunable.scores(setting, "v03") == pytest.approx(expected, abs=1e-12)


def test_a_field_is_set_on_the_choice_of_its_own_setting(tmp_path: Path) -> None:
    config = {"position": {"_target_": "vaa.stages.scores.Identity"}, "stages": {"position": "${position}"}}
    setting = Setting((("position.width", "0.25"), ("position", "centre")))
    assert build_stages(config, setting, tmp_path) == {"position": CentreWeight(width=0.25)}
    assert build_stages(config, AS_IT_IS, tmp_path) == {"position": Identity()}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("smoothing=wavelet", "no such choice; conf/smoothing has filter10, gaussian15"),
        ("window=frames30x8", "this run has no such choice"),
        ("smoothing.width=3", "The fields of smoothing: sigma"),
        ("position.width=3", "The fields of position: none"),
        ("stages.round.digits=3", "this run has no stages.round"),
        ("smoothing.sigma=-1", "sigma=-1"),
    ],
)
def test_a_setting_that_does_not_fit_the_run_is_refused(
    run: Path, argument: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_message(capsys, str(run), "--grid", argument)


def test_a_run_that_needs_a_model_is_refused_with_a_remedy(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = (run / ".hydra/config.yaml").read_text()
    stage = "stages:\n  ask: {_target_: vaa.stages.responses.QuerySegments, model: null, prompt: null}\n"
    (run / ".hydra/config.yaml").write_text(config.replace("stages:\n", stage))
    assert "method=scored scores.root=RUN/scores" in error_message(capsys, str(run), "--grid", "smoothing=none")


def test_each_video_is_in_one_fold_and_anomalous_ones_are_spread_evenly(run: Path) -> None:
    tunable = load(run)
    folds = selection.make_folds(tunable, 3, seed=0)
    anomalous = np.array([tunable.labels[video].any() for video in tunable.videos])
    assert (folds.sum(axis=0) == 1).all()
    assert (folds @ anomalous == 2).all()
    assert (folds.sum(axis=1) == 4).all()


def test_the_labels_of_a_fold_do_not_influence_its_setting(tmp_path: Path) -> None:
    """Other labels of the videos in a fold leave their setting unchanged."""
    run = make_run(tmp_path, 5)
    settings = grid_settings(GRID)

    def nested() -> dict[str, Setting]:
        tunable = load(run)
        return selection.nested_settings(tunable, selection.try_settings(tunable, settings, folds, RULE), folds)

    tunable = load(run)
    changed: dict[str, Setting] = {}
    folds = selection.make_folds(tunable, 4, seed=0)
    before = nested()
    truth = json.loads((run / "truth.json").read_text())
    for fold in folds:
        other = json.loads(json.dumps(truth))
        videos = [video for video, inside in zip(tunable.videos, fold, strict=True) if inside]
        for video in videos:
            other["videos"][video]["anomalous"] = [[0, 10], [80, 120]]
        (run / "truth.json").write_text(json.dumps(other))
        after = nested()
        changed |= {video: after[video] for video in videos}
    assert changed == before
    assert len(set(before.values())) > 1


def test_nested_is_below_selection_on_the_labels_and_only_the_latter_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, 5)
    grid = [argument for arguments in GRID for argument in ("--grid", *arguments)]
    as_it_is, nested, best = rows(capsys, str(run), *grid, "--folds", "4", "--by", "roc_auc")
    assert (as_it_is["fair"], nested["fair"], best["fair"]) == ("yes", "yes", "no")
    assert float(as_it_is["roc_auc"]) == pytest.approx(run_folders.metrics(run)["roc_auc"])
    assert float(nested["roc_auc"]) < float(best["roc_auc"])
    assert float(best["roc_auc_delta"]) == pytest.approx(float(best["roc_auc"]) - float(as_it_is["roc_auc"]))
    assert float(best["roc_auc_low"]) <= float(best["roc_auc_delta"]) <= float(best["roc_auc_high"])
    assert main([str(run), *grid, "--resamples", "0"]) == 0
    output = capsys.readouterr().out
    assert "chosen on these labels ‡" in output
    assert "7 settings" in output


def test_selected_on_one_data_set_and_reported_on_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, other = make_run(tmp_path, 1), make_run(tmp_path, 2, "other", "x")
    args = [str(run), "--grid", "smoothing.sigma=0.5,2,4", "--by", "roc_auc"]
    as_it_is, selected = rows(capsys, *args, "--report", str(other))
    *_, best = rows(capsys, *args, "--folds", "2")
    assert selected["setting"] == best["setting"] != "as it is"
    assert float(as_it_is["roc_auc"]) == pytest.approx(run_folders.metrics(other)["roc_auc"])
    assert selected["fair"] == "yes"
    assert "shares videos" in error_message(capsys, *args, "--report", str(run))


def test_a_split_selects_on_the_named_videos_and_reports_the_others(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("".join(f"v{k:02d}\n" for k in range(8)))
    args = [str(run), "--grid", "smoothing.sigma=0.5,4", "--split", str(names)]
    as_it_is, selected = rows(capsys, *args)
    assert as_it_is["data"] == "ours, 4 videos"
    assert selected["chosen"] == "on the other 8"
    names.write_text("unknown\n")
    assert "unknown" in error_message(capsys, *args)
    names.write_text("")
    assert "both parts need a video" in error_message(capsys, *args)
    names.unlink()
    assert f"--split {names}: cannot be read" in error_message(capsys, *args)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--folds", "1"], "Use at least 2 folds"),
        (["--folds", "13"], "at most one per video"),
        (["--by", "tiou"], "Known: roc_auc"),
        (["--every", "0"], "--every 0"),
    ],
)
def test_wrong_options_are_refused(
    run: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_message(capsys, str(run), "--grid", "smoothing=none", *args)


def test_a_folder_without_a_run_is_refused(run: Path) -> None:
    assert main([str(run), "--grid", "smoothing=none", "--report", "nowhere"]) > 0


def test_a_run_without_labels_is_refused(run: Path) -> None:
    (run / "truth.json").write_text(json.dumps({**json.loads((run / "truth.json").read_text()), "videos": {}}))
    with pytest.raises(DataError, match="no video has labels"):
        load(run)
