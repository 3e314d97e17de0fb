from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import run_folders
import yaml
from alert_rules import alert_rule
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vaa.calibrate.__main__ import main, usage
from vaa.calibrate.threshold import (
    AlertCounts,
    ScoredVideo,
    at_threshold,
    candidate_thresholds,
    count_alerts,
    rate_interval,
    threshold_interval,
)
from vaa.errors import ConfigError, DataError
from vaa.frame_times import FrameTimes
from vaa.process import PROJECT_ROOT
from vaa.report.alerts import AlertRule
from vaa.types import Video

RULE = alert_rule(gap=2.0, shortest=2.0)


def tracks(seed: int, videos: int = 6, values: int = 60) -> dict[str, list[float]]:
    """Scores with two decimals, each of one second, that stay similar for a while."""
    rng = np.random.default_rng(seed)
    smooth = [np.convolve(rng.random(values + 4), np.full(5, 0.2), "valid") for _ in range(videos)]
    return {f"v{k}": each.round(2).tolist() for k, each in enumerate(smooth)}


def footage(scores: Mapping[str, Sequence[float]]) -> list[ScoredVideo]:
    return [
        ScoredVideo(Video(name, Path("v.mp4"), 10 * len(values), 10.0), np.repeat(values, 10))
        for name, values in scores.items()
    ]


def make_run(folder: Path, scores: Mapping[str, Sequence[float]], spans: Mapping[str, tuple[int, int]]) -> Path:
    defaults = yaml.safe_load((PROJECT_ROOT / "conf/config.yaml").read_text())["alerts"]
    config = {"alerts": {**defaults, "gap": RULE.gap, "shortest": RULE.shortest}}
    run_folders.make(folder, scores, spans, config=config)
    recorded = {"hydra": {"runtime": {"choices": {}, "cwd": str(folder.parent)}}}
    (folder / ".hydra/hydra.yaml").write_text(yaml.safe_dump(recorded))
    return folder


def brute_force(rule: AlertRule, videos: Sequence[ScoredVideo], allowed: float) -> float:
    """The lowest threshold just above a score from which on, upwards, there are not too many alerts."""
    lowest = float("nan")
    for threshold in [1.0, *(round(k / 100 + 0.0001, 4) for k in range(99, -1, -1))]:
        at = alert_rule(gap=rule.gap, shortest=rule.shortest, threshold=threshold)
        if sum(len(at.intervals(each.scores, each.video)) for each in videos) > allowed:
            return lowest
        if any(0 <= threshold - score < 0.005 for each in videos for score in each.scores) or threshold == 1.0:
            lowest = threshold
    return lowest


@pytest.mark.parametrize("alerts", [0, 1, 4])
def test_the_threshold_is_the_lowest_within_the_budget(alerts: int) -> None:
    videos = footage(tracks(3))
    per_hour = alerts / 0.1  # six minutes
    counts = count_alerts(RULE, videos)
    (threshold,) = counts.lowest(per_hour)
    assert threshold == pytest.approx(brute_force(RULE, videos, alerts), abs=1e-9)
    assert counts.alerts_at(threshold) <= alerts
    assert counts.alerts_at(counts.thresholds[counts.thresholds < threshold][-1]) > alerts
    assert counts.total_hours == pytest.approx(0.1)


def test_the_end_of_an_alert_is_not_above_its_threshold_and_pauses_are_no_footage() -> None:
    rule = alert_rule(threshold=0.5, end=0.3)
    assert [at_threshold(rule, threshold).end for threshold in (0.2, 0.6)] == [0.2, 0.3]
    times = FrameTimes(np.concatenate([np.arange(1800) / 10, 7200 + np.arange(1800) / 10]))
    video = Video("motion", Path("v.mp4"), 3600, 0.5, times=times)
    counts = count_alerts(rule, [ScoredVideo(video, np.zeros(3600))])
    assert counts.total_hours == pytest.approx(0.1)
    assert counts.alerts.sum() == 0


def test_one_long_alert_at_a_low_threshold_is_no_solution() -> None:
    counts = count_alerts(RULE, footage({"v": [0.3, 0.3, 0.3, 0.9, 0.9, 0.9] * 10}))
    assert counts.thresholds.tolist() == [0.3001, 0.9001, 1.0]
    at_any = np.array([0.1, *counts.thresholds])
    alerts = AlertCounts(at_any, np.array([[1.0], [10.0], [0.0], [0.0]]), counts.hours)
    assert counts.alerts[:, 0].tolist() == [10.0, 0.0, 0.0]
    assert alerts.lowest(2 / counts.total_hours).tolist() == [0.9001]


def test_a_resample_is_the_footage_that_it_repeats() -> None:
    scores = tracks(3)
    repeated = {f"{name}-{k}": scores[name] for name, times in (("v0", 3), ("v4", 2)) for k in range(times)}
    weights = np.array([[3.0, 0, 0, 0, 2.0, 0]])
    (of_weights,) = count_alerts(RULE, footage(scores)).lowest(30.0, weights)
    (of_videos,) = count_alerts(RULE, footage(repeated)).lowest(30.0)
    assert of_weights == pytest.approx(of_videos, abs=0.03)  # candidates are those of other scores
    interval = threshold_interval(count_alerts(RULE, footage(scores)), 30.0, 200, 0)
    assert interval is not None
    assert 0 < interval.low < interval.high < 1
    assert threshold_interval(count_alerts(RULE, footage({"one": [0.5] * 9})), 30.0, 200, 0) is None


def test_candidates_are_just_above_scores_and_dense_at_the_top() -> None:
    assert candidate_thresholds([np.array([0.5, np.nan]), np.array([0.12345, 1.0])]).tolist() == [0.1235, 0.5001, 1.0]
    many = candidate_thresholds([np.linspace(0, 0.9, 5001)])
    assert 300 < len(many) < 600
    assert np.diff(many)[-9:-2].max() < 0.001


def test_a_poisson_rate_has_the_exact_interval() -> None:
    assert rate_interval(3, 2.0) == pytest.approx((0.6187 / 2, 8.7673 / 2), abs=1e-4)
    assert rate_interval(0, 1.0) == pytest.approx((0.0, 3.6889), abs=1e-4)


def test_run_py_takes_the_written_rule_and_notices_the_same_footage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {**tracks(3), "event": [1.0] * 60}
    run, out = make_run(tmp_path / "run", scores, {"event": (0, 99)}), tmp_path / "own/experiment/quiet.yaml"
    assert main([str(run), "--false-alarms-per-hour", "30", "--out", str(out), "--resamples", "50"]) == 0
    output = capsys.readouterr().out
    assert "6 videos, 0.10 h" in output
    assert "left out: 1 video with events" in output
    assert usage(out) == f"python run.py --config-dir {tmp_path / 'own'} experiment=quiet"
    with initialize_config_dir(str(PROJECT_ROOT / "conf"), version_base="1.3"):
        words = [f"hydra.searchpath=[file://{tmp_path / 'own'}]", "experiment=quiet", "alerts.stills=false"]
        rule = instantiate(compose("config", words).alerts, _convert_="all")
    assert isinstance(rule, AlertRule)
    (threshold,) = count_alerts(RULE, footage(tracks(3))).lowest(30.0)
    assert (rule.threshold, rule.gap, rule.shortest, rule.stills) == (threshold, RULE.gap, RULE.shortest, False)
    assert "calibrated" in rule.description
    video = Video("again", tmp_path / "v.mp4", 10, 10.0)
    (notice,) = rule.notices([video, Video("new", tmp_path / "new.mp4", 10, 10.0)])
    assert notice.startswith("1 of the 2 videos")
    assert rule.notices([Video("new", tmp_path / "new.mp4", 10, 10.0)]) == []


@pytest.mark.parametrize(
    ("scores", "spans", "rate", "message", "status"),
    [
        ({"v": [0.5] * 60}, {}, "30", "too short", DataError.exit_status),
        ({"v": [0.5] * 600}, {"v": (0, 9)}, "30", "no video without events", DataError.exit_status),
        ({"v": ([1.0] * 5 + [0.0] * 5) * 60}, {}, "30", "even at threshold 1", ConfigError.exit_status),
        ({"v": [0.5] * 600}, {}, "0", "above 0", ConfigError.exit_status),
    ],
)
def test_what_gives_no_threshold_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    scores: Mapping[str, Sequence[float]],
    spans: Mapping[str, tuple[int, int]],
    rate: str,
    message: str,
    status: int,
) -> None:
    run, out = make_run(tmp_path / "run", scores, spans), tmp_path / "experiment/x.yaml"
    assert main([str(run), "--false-alarms-per-hour", rate, "--out", str(out)]) == status
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_run_py_would_not_find_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = [str(tmp_path), "--false-alarms-per-hour", "1", "--out", str(tmp_path / "x.yaml")]
    assert main(args) == ConfigError.exit_status
    assert "experiment/NAME.yaml" in capsys.readouterr().err
