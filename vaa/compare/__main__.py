"""`python -m vaa.compare outputs/... [--baseline 1]`: a table of runs; with --videos two runs, video by video."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaa import process
from vaa.compare.comparison import compare, comparison_table
from vaa.compare.tables import Table, add_table_options, write_table
from vaa.compare.videos import videos_table
from vaa.errors import ConfigError
from vaa.report.runs import Run, find_runs, short_names, unfinished


def main(argv: Sequence[str] | None = None) -> int:
    """Compare runs, print or save the table; returns the exit status."""
    return write_table(_table, _parser().parse_args(argv))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vaa.compare", description=__doc__)
    parser.add_argument("folders", nargs="+", help="runs, multiruns, or folders that contain runs")
    parser.add_argument("--baseline", default="1", help="the run that deltas refer to: a folder or a number (1)")
    parser.add_argument("--metric", nargs="+", default=[], help="metrics to show: any names in metrics.json")
    parser.add_argument("--names", nargs="+", default=[], help="names for the runs, in order")
    add_table_options(parser)
    videos_help = "compare two runs video by video: the N with the largest differences, 20 if N is not given"
    parser.add_argument("--videos", type=int, nargs="?", const=20, metavar="N", help=videos_help)
    return parser


def _table(args: argparse.Namespace) -> Table:
    runs = find_runs(args.folders)
    names = args.names or short_names(runs)
    folders = ", ".join(str(run.folder) for run in runs)
    if len(names) != len(runs):
        raise ConfigError(f"--names: {len(names)} names for {len(runs)} runs ({folders}).")
    if args.videos is not None:
        if len(runs) != 2:
            raise ConfigError(f"--videos compares two runs, not {len(runs)}: {folders}.")
        return videos_table(runs[0], runs[1], names, args.videos, args.digits)
    comparison = compare(runs, _baseline(runs, args.baseline), args.metric, names, args.resamples, args.seed)
    table = comparison_table(comparison, args.digits)
    notes = (f"{folder}: an unfinished run (no metrics.json); left out." for folder in unfinished(args.folders))
    return replace(table, notes=(*table.notes, *notes))


def _baseline(runs: Sequence[Run], name: str) -> int:
    """The index of the run with this number (from 1) or folder."""
    by_number = {str(k): k - 1 for k in range(1, len(runs) + 1)}
    by_folder = {str(run.folder.resolve()): k for k, run in enumerate(runs)}
    index = (by_number | by_folder).get(name, by_folder.get(str(Path(name).resolve())))
    if index is None:
        listing = "".join(f"\n  {k}  {run.folder}" for k, run in enumerate(runs, start=1))
        raise ConfigError(f"--baseline {name}: not one of the runs. Give a number or a folder:{listing}")
    return index


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
