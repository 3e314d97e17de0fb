"""`python -m vaa.calibrate RUN --false-alarms-per-hour 0.5`: choose alerts.threshold on footage without events."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from vaa import process
from vaa.calibrate.threshold import (
    AlertCounts,
    ScoredVideo,
    at_threshold,
    count_alerts,
    rate_interval,
    threshold_interval,
)
from vaa.errors import ConfigError, DataError, VaaError
from vaa.report.alerts import AlertRule
from vaa.report.files import write_bytes
from vaa.report.run_folder import output_errors
from vaa.report.runs import Run, find_run

_RULE_FIELDS = ("threshold", "end", "gap", "shortest", "padding", "scores", "source", "calibrated_on")
"""The fields of the alert rule that are written: the threshold is valid for these only."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The rule with the threshold that was found, and the text about it."""

    rule: AlertRule
    lines: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate, print the threshold, write it; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        if not 0 < args.false_alarms_per_hour < math.inf:
            raise ConfigError(f"--false-alarms-per-hour {args.false_alarms_per_hour}: give a number above 0.")
        if args.out is not None:
            check_out(args.out)
        run = find_run(args.run)
        calibration = calibrate(run, args.false_alarms_per_hour, args.resamples, args.seed)
        sys.stdout.write(
            "\n".join([*calibration.lines, f"use it: alerts.threshold={calibration.rule.threshold:g}", ""])
        )
        if args.out is not None:
            with output_errors(args.out.parent):
                write_bytes(args.out, yaml_text(calibration).encode())
            sys.stdout.write(f"written: {args.out}; use it: {usage(args.out)}\n")
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vaa.calibrate", description=__doc__)
    parser.add_argument("run", help="a finished run: without labels, all its videos count, else the normal ones")
    rate_help = "the lowest threshold with at most this many alerts per hour is chosen"
    parser.add_argument("--false-alarms-per-hour", type=float, required=True, metavar="RATE", help=rate_help)
    out_help = "write the alert rule to this file, as a choice of the group experiment: FOLDER/experiment/NAME.yaml"
    parser.add_argument("--out", type=Path, metavar="FILE", help=out_help)
    parser.add_argument("--resamples", type=int, default=1000, help="resamples of the videos for the interval (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (0)")
    return parser


def check_out(file: Path) -> None:
    """Check that run.py can take the file.

    Raises:
        ConfigError: it is not FOLDER/experiment/NAME.yaml.
    """
    if file.suffix != ".yaml" or file.absolute().parent.name != "experiment":
        raise ConfigError(
            f"--out {file}: run.py takes it as a choice of the group experiment: give FOLDER/experiment/NAME.yaml, "
            "such as conf/experiment/calibrated.yaml."
        )


def usage(file: Path) -> str:
    """The command that uses a written file."""
    folder = file.absolute().parents[1]
    own = folder == Path("conf").absolute()
    return f"python run.py {'' if own else f'--config-dir {folder} '}experiment={file.stem}"


def calibrate(run: Run, per_hour: float, times: int, seed: int) -> Calibration:
    """The lowest threshold at which the run's alert rule gives at most `per_hour` alerts on its normal videos.

    Raises:
        ConfigError: the run has no alert rule, or no threshold gives so few alerts.
        DataError: the run has no normal video with scores, or they are too short for this rate.
    """
    rule = alert_rule(run)
    footage, left_out = normal_footage(run, rule)
    counts = count_alerts(rule, footage)
    _check_length(counts, per_hour)
    threshold = float(counts.lowest(per_hour)[0])
    if math.isnan(threshold):
        raise ConfigError(
            f"{run.folder}: {counts.alerts_at(1.0)} alerts in {counts.total_hours:.2f} h even at threshold 1, more "
            f"than {per_hour:g} per hour. Raise alerts.shortest or alerts.gap, smooth the scores, or allow more."
        )
    found, hours = at_threshold(rule, threshold), counts.total_hours
    alerts = counts.alerts_at(threshold)
    low, high = rate_interval(alerts, hours)
    lines = (
        f"threshold {threshold:g}{_interval_text(counts, per_hour, times, seed)}",
        f"footage: {_videos(len(footage))}, {hours:.2f} h, of {run.folder}{left_out}",
        f"alerts there: {alerts}, {_rate(alerts / hours)} per hour (95 %: {_rate(low)} to {_rate(high)})",
        f"rule: {_rule_text(found)}",
        "The threshold was chosen on this footage: count false alerts on other footage.",
    )
    source = f"calibrated to {threshold:g}: at most {per_hour:g} alerts per hour on {hours:.2f} h"
    paths = [str((run.cwd / each.video.path).resolve()) for each in footage]
    return Calibration(rule=replace(found, source=source, calibrated_on=paths), lines=lines)


def alert_rule(run: Run) -> AlertRule:
    """The alert rule of a run.

    Raises:
        ConfigError: it has none.
        DataError: its config is not one of this version.
    """
    fields = run.config.get("alerts")
    if not fields:
        raise ConfigError(f"{run.folder}: was run with alerts=null, so it has no alert rule to calibrate.")
    try:
        return AlertRule(**{name: value for name, value in fields.items() if name != "_target_"})
    except TypeError as error:
        raise DataError(f"{run.folder}: its alert rule is of another version ({error}). Run it again.") from error


def normal_footage(run: Run, rule: AlertRule) -> tuple[list[ScoredVideo], str]:
    """The videos of a run without events, and a text about those that are left out.

    Raises:
        DataError: there is none with scores.
    """
    evaluation = run.evaluation
    videos = [video for video in evaluation.reports if not evaluation.labels or video in evaluation.labels]
    normal = [video for video in videos if not evaluation.labels or not evaluation.labels[video].any()]
    footage = []
    for video in normal:
        scores = rule.frame_scores(evaluation, video)
        if scores is not None and len(scores):
            footage.append(ScoredVideo(evaluation.reports[video].video, scores))
    if not footage:
        raise DataError(f"{run.folder}: no video without events that has scores. Run the method on normal footage.")
    n_left_out = len(evaluation.reports) - len(footage)
    return footage, f" (left out: {_videos(n_left_out)} with events, or without labels or scores)" if n_left_out else ""


def _check_length(counts: AlertCounts, per_hour: float) -> None:
    hours = counts.total_hours
    if not hours * per_hour >= 1:
        bound = f" (with no alert in them, it may be up to {_rate(rate_interval(0, hours)[1])})" if hours else ""
        raise DataError(
            f"{hours:.2f} h of footage are too short for {per_hour:g} alerts per hour{bound}. Give at least "
            f"{1 / per_hour:.2g} h; {rate_interval(0, 1.0)[1] / per_hour:.2g} h without an alert would show that rate."
        )


def _interval_text(counts: AlertCounts, per_hour: float, times: int, seed: int) -> str:
    interval = threshold_interval(counts, per_hour, times, seed)
    if interval is None:
        return " (one video: no interval)"
    if math.isnan(interval.low):
        return ""
    undefined = f"; none in {interval.undefined} resamples" if interval.undefined else ""
    return f" (95 %: {interval.low:g} to {interval.high:g}, {times} resamples of the videos{undefined})"


def _videos(number: int) -> str:
    return f"{number} video{'' if number == 1 else 's'}"


def _rate(per_hour: float) -> str:
    return f"{per_hour:.0f}" if per_hour >= 100 else f"{per_hour:.2g}"


def _rule_text(rule: AlertRule) -> str:
    end = rule.threshold if rule.end is None else rule.end
    return (
        f"{rule.scores} scores, end below {end:g}, gap {rule.gap:g} s, shortest {rule.shortest:g} s, padding "
        f"{rule.padding:g} s"
    )


def yaml_text(calibration: Calibration) -> str:
    """The file that run.py takes, with what it comes from as comments."""
    rule = {name: value for name, value in asdict(calibration.rule).items() if name in _RULE_FIELDS}
    comments = "".join(f"# {line}\n" for line in ("Written by python -m vaa.calibrate", *calibration.lines))
    body = yaml.safe_dump({"alerts": rule}, sort_keys=False, allow_unicode=True, width=10_000)
    return f"# @package _global_\n{comments}{body}"


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
