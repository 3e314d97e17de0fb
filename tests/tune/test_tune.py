"""Choosing settings: on some videos, counted on others, never silently on the labels they are counted by."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import runs_made
import yaml
from scipy.ndimage import gaussian_filter1d

from vaa.errors import VaaError
from vaa.report.runs import Run
from vaa.tune import chain, choosing
from vaa.tune.__main__ import main
from vaa.tune.choosing import SelectionRule
from vaa.tune.grid import AS_IT_IS, settings
from vaa.tune.source import TuningSource, source

RULE = SelectionRule(("roc_auc",), 1)
GRID = [["smoothing.sigma=0.5,1,2,4"], ["smoothing=none", "position=none,centre"]]


def finished(folder: Path, seed: int, name: str = "run", prefix: str = "", count: int = 12) -> Path:
    """A run of method=scored with sigma 1, as run.py leaves it: score files, config, and labels in its folder."""
    tracks, spans = runs_made.videos(seed, count, gain=0.3)
    tracks = {f"{prefix}{video}": np.minimum(track, 1.0).tolist() for video, track in tracks.items()}
    root = folder / f"{name}_scores"
    root.mkdir(parents=True)
    for video, track in tracks.items():
        (root / f"{video}.json").write_text(json.dumps({10 * k: score for k, score in enumerate(track)}))
    config = {
        "scores": {"_target_": "vaa.stages.read_scores.ReadScores", "root": root.name},
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
    made = runs_made.make(folder / name, smoothed, spans)
    (made / ".hydra/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (made / ".hydra/hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"choices": {}, "cwd": str(folder)}}}))
    return made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished(tmp_path, 1)


def opened(folder: Path, grids: Sequence[Sequence[str]] = GRID) -> TuningSource:
    return source(Run(folder), settings(grids))


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    assert main([*words, "--format", "csv", "--resamples", "50"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 1
    return capsys.readouterr().err


def test_a_grid_is_every_combination_once_and_the_run_as_it_is_comes_first() -> None:
    found = settings([["a.b=1,2", "c=x,y"], ["c=x"], ["c=x"]])
    assert [each.name for each in found] == ["as it is", *(f"a.b={n} c={w}" for n in "12" for w in "xy"), "c=x"]


@pytest.mark.parametrize("word", ["sigma", "=1", "smoothing.sigma=", "smoothing.sigma=1,,2"])
def test_a_word_that_is_no_grid_is_answered(run: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"--grid {word}: expected KEY=VALUE,VALUE" in refused(capsys, str(run), "--grid", word)


def test_as_it_is_gives_the_numbers_of_the_run(run: Path) -> None:
    made = opened(run)
    found = made.measured(dict.fromkeys(made.videos, AS_IT_IS), choosing.whole(made), ("roc_auc", "within_video_auc"))
    for name, measured in found.items():
        assert measured.value == pytest.approx(runs_made.metrics(run)[name], abs=1e-12)


def test_a_setting_is_what_the_stages_make_of_the_recorded_scores(run: Path) -> None:
    made = opened(run, [["smoothing.sigma=2"]])
    raw = json.loads((run.parent / "run_scores/v03.json").read_text())
    expected = gaussian_filter1d(np.array(list(raw.values())), 2.0).repeat(10)
    (_, setting) = settings([["smoothing.sigma=2"]])
    assert made.scores(setting, "v03") == pytest.approx(expected, abs=1e-12)


def test_a_field_goes_into_the_choice_of_its_own_setting() -> None:
    config = {"position": {"_target_": "vaa.stages.scores.Identity"}, "stages": {"position": "${position}"}}
    (_, setting) = settings([["position.width=0.25", "position=centre"]])
    assert chain.changed(config, setting)["position"] == {"_target_": "vaa.stages.scores.CentreWeight", "width": 0.25}
    assert config["position"] == {"_target_": "vaa.stages.scores.Identity"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("smoothing=wavelet", "no such choice; conf/smoothing holds filter10, gaussian15"),
        ("window=frames30x8", "this run has no such choice"),
        ("smoothing.width=3", "no such field; there are sigma"),
        ("position.width=3", "no such field; there are no fields"),
        ("stages.round.digits=3", "this run has no round"),
        ("smoothing.sigma=-1", "must be above 0"),
    ],
)
def test_what_does_not_fit_the_run_is_said(run: Path, word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, str(run), "--grid", word)


def test_a_run_that_asks_a_model_is_told_how_to_be_tuned(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = (run / ".hydra/config.yaml").read_text()
    asks = "stages:\n  ask: {_target_: vaa.stages.responses.QuerySegments, vlm: null, prompt: null}\n"
    (run / ".hydra/config.yaml").write_text(config.replace("stages:\n", asks))
    assert "method=scored scores.root=RUN/scores" in refused(capsys, str(run), "--grid", "smoothing=none")


def test_folds_hold_every_video_once_and_anomalous_ones_evenly(run: Path) -> None:
    made = opened(run)
    held = choosing.folds(made, 3, seed=0)
    anomalous = np.array([made.labels[video].any() for video in made.videos])
    assert (held.sum(axis=0) == 1).all()
    assert (held @ anomalous == 2).all()
    assert (held.sum(axis=1) == 4).all()


def test_the_labels_of_a_fold_have_no_part_in_its_choice(tmp_path: Path) -> None:
    """Whatever is annotated in the held-out videos, they are scored under the same setting."""
    run = finished(tmp_path, 5)
    made, chosen = opened(run), {}
    held = choosing.folds(made, 4, seed=0)
    before = choosing.nested(made, choosing.tried(made, settings(GRID), held, RULE), held)
    truth = json.loads((run / "truth.json").read_text())
    for fold in held:
        other = json.loads(json.dumps(truth))
        inside = [video for video, out in zip(made.videos, fold, strict=True) if out]
        for video in inside:
            other["videos"][video]["anomalous"] = [[0, 10], [80, 120]]
        (run / "truth.json").write_text(json.dumps(other))
        turned = opened(run)
        after = choosing.nested(turned, choosing.tried(turned, settings(GRID), held, RULE), held)
        chosen |= {video: after[video] for video in inside}
    assert chosen == before
    assert len(set(before.values())) > 1


def test_nested_is_lower_than_choosing_on_the_labels_and_only_that_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(tmp_path, 5)
    grid = [word for words in GRID for word in ("--grid", *words)]
    kept, nested, best = rows(capsys, str(run), *grid, "--folds", "4", "--by", "roc_auc")
    assert (kept["fair"], nested["fair"], best["fair"]) == ("yes", "yes", "no")
    assert float(kept["roc_auc"]) == pytest.approx(runs_made.metrics(run)["roc_auc"])
    assert float(nested["roc_auc"]) < float(best["roc_auc"])
    assert float(best["roc_auc_delta"]) == pytest.approx(float(best["roc_auc"]) - float(kept["roc_auc"]))
    assert float(best["roc_auc_low"]) <= float(best["roc_auc_delta"]) <= float(best["roc_auc_high"])
    assert main([str(run), *grid, "--resamples", "0"]) == 0
    said = capsys.readouterr().out
    assert "chosen on these labels ‡" in said
    assert "7 settings" in said


def test_chosen_on_one_data_set_counted_on_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, other = finished(tmp_path, 1), finished(tmp_path, 2, "other", "x")
    words = [str(run), "--grid", "smoothing.sigma=0.5,2,4", "--by", "roc_auc"]
    kept, moved = rows(capsys, *words, "--report", str(other))
    *_, best = rows(capsys, *words, "--folds", "2")
    assert moved["setting"] == best["setting"] != "as it is"
    assert float(kept["roc_auc"]) == pytest.approx(runs_made.metrics(other)["roc_auc"])
    assert moved["fair"] == "yes"
    assert "shares videos" in refused(capsys, *words, "--report", str(run))


def test_a_stated_split_is_chosen_on_and_the_rest_counted(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("".join(f"v{k:02d}\n" for k in range(8)))
    words = [str(run), "--grid", "smoothing.sigma=0.5,4", "--split", str(names)]
    kept, moved = rows(capsys, *words)
    assert kept["data"] == "ours, 4 videos"
    assert moved["chosen"] == "on the other 8"
    names.write_text("nobody\n")
    assert "nobody" in refused(capsys, *words)
    names.write_text("")
    assert "some must be left on either side" in refused(capsys, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--folds", "1"], "Folds are 2 or more"),
        (["--folds", "13"], "no more than videos"),
        (["--by", "tiou"], "no such metric of scores. Known: roc_auc"),
        (["--every", "0"], "--every is at least 1"),
        (["--report", "nowhere"], "nowhere: no run of vaa"),
    ],
)
def test_wrong_words_are_answered(run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, str(run), "--grid", "smoothing=none", *words)


def test_a_run_without_labels_has_nothing_to_choose_by(run: Path) -> None:
    (run / "truth.json").write_text(json.dumps({**json.loads((run / "truth.json").read_text()), "videos": {}}))
    with pytest.raises(VaaError, match="nothing to choose by"):
        opened(run)
