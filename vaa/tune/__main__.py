"""`python -m vaa.tune RUN --grid smoothing.sigma=5,10,20`: select settings on other videos than those reported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vaa import process
from vaa.compare.measures import RESAMPLED
from vaa.compare.tables import Table, add_table_options, write_table
from vaa.errors import ConfigError, DataError
from vaa.report.runs import Run, find_runs
from vaa.tune.results import Resampling, TunedRow, nested_rows, results_table, split_rows, transfer_rows
from vaa.tune.selection import SelectionRule, no_folds, split_fold, try_settings
from vaa.tune.settings import Setting, grid_settings
from vaa.tune.tunable_run import load_run


def main(argv: Sequence[str] | None = None) -> int:
    """Tune, print or save the table; returns the exit status."""
    return write_table(_table, _parser().parse_args(argv))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vaa.tune", description=__doc__)
    parser.add_argument("run", help="a finished run of method=scored; settings are selected by its labels")
    grid_help = "KEY=VALUE,VALUE arguments, all combinations; repeat the option to add another grid"
    parser.add_argument("--grid", nargs="+", action="append", required=True, metavar="KEY=VALUES", help=grid_help)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--report", metavar="RUN", help="report the selected setting on this run of another data set")
    target.add_argument("--split", type=Path, metavar="FILE", help="select on the videos named there, one on each line")
    target.add_argument("--folds", type=int, default=5, help="otherwise: nested, with this many folds of videos (5)")
    by_help = "select by the mean of these metrics (roc_auc pr_auc within_video_auc)"
    parser.add_argument("--by", nargs="+", default=["roc_auc", "pr_auc", "within_video_auc"], help=by_help)
    parser.add_argument("--every", type=int, default=1, help="select on one in N frames; all frames are reported (1)")
    add_table_options(parser, "of the folds and the resamples (0)")
    return parser


def _table(args: argparse.Namespace) -> Table:
    known = [name for name in RESAMPLED if not name.startswith("tiou")]
    unknown = [name for name in args.by if name not in known]
    if unknown:
        raise ConfigError(f"--by {unknown[0]}: no such metric of scores. Known: {', '.join(known)}.")
    if args.every < 1:
        raise ConfigError(f"--every {args.every}: must be at least 1.")
    settings, rule = grid_settings(args.grid), SelectionRule(tuple(args.by), args.every)
    rows = _rows(args, settings, rule)
    metrics = f"{'mean of ' if len(args.by) > 1 else ''}{', '.join(args.by)}"
    frames = f" on one in {args.every} frames" if args.every > 1 else ""
    notes = [
        f"{len(settings)} settings, the run as it is among them; selected by the best {metrics}{frames}.",
        f"Brackets: 95 % interval of the difference, {args.resamples} paired resamples of the videos.",
    ]
    return results_table(rows, notes, args.digits)


def _rows(args: argparse.Namespace, settings: Sequence[Setting], rule: SelectionRule) -> list[TunedRow]:
    resampling = Resampling(args.resamples, args.seed)
    run = load_run(_find_run(args.run), settings)
    if args.report is not None:
        target = load_run(_find_run(args.report), settings)
        if set(run.videos) & set(target.videos):
            raise ConfigError(
                f"--report {args.report}: shares videos with {args.run}. Use --folds within one data set."
            )
        return transfer_rows(try_settings(run, settings, no_folds(run), rule), run.data, target, resampling)
    if args.split is not None:
        fold = split_fold(run, _read_names(args.split))
        return split_rows(run, try_settings(run, settings, fold, rule), fold, resampling)
    return nested_rows(run, settings, args.folds, rule, resampling)


def _read_names(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--split {file}: cannot be read ({error}).") from error


def _find_run(folder: str) -> Run:
    runs = find_runs([folder])
    if len(runs) > 1:
        listing = "".join(f"\n  {run.folder}" for run in runs)
        raise DataError(f"{folder} has {len(runs)} runs; give the folder of one:{listing}")
    return runs[0]


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
