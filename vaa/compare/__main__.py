"""`python -m vaa.compare outputs/... [--baseline 1]`: a table of runs; with --videos two runs, video by video."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaa.compare import command, table, videos
from vaa.compare.comparison import compare
from vaa.compare.formats import Sheet
from vaa.errors import VaaError
from vaa.report.runs import Run, find, unfinished


def main(words: Sequence[str] | None = None) -> int:
    """Compare, write, and say in words what went wrong; the exit status."""
    return command.write(_sheet, _parser().parse_args(words))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vaa.compare", description=__doc__)
    parser.add_argument("folders", nargs="+", help="runs, multiruns, or folders that hold many")
    parser.add_argument("--baseline", default="1", help="what deltas are to: a run's folder or number; the first run")
    parser.add_argument("--metric", nargs="+", default=[], help="columns; any name in metrics.json")
    parser.add_argument("--names", nargs="+", default=[], help="what to call the runs, in order")
    command.add_options(parser)
    help_videos = "two runs video by video, where they disagree most first: the N first, 20 if N is not given"
    parser.add_argument("--videos", type=int, nargs="?", const=20, metavar="N", help=help_videos)
    return parser


def _sheet(asked: argparse.Namespace) -> Sheet:
    runs = find(asked.folders)
    names = asked.names or _names(runs)
    if len(names) != len(runs):
        raise VaaError(f"--names: {len(names)} names for {len(runs)} runs ({', '.join(str(r.folder) for r in runs)}).")
    if asked.resamples < 0 or asked.digits < 0:
        raise VaaError(f"--resamples {asked.resamples}, --digits {asked.digits}: neither can be negative.")
    if asked.videos is not None:
        if len(runs) != 2:
            raise VaaError(f"--videos wants two runs, these are {len(runs)}: {', '.join(str(r.folder) for r in runs)}.")
        return videos.sheet(runs[0], runs[1], names, asked.videos, asked.digits)
    baseline = _baseline(runs, asked.baseline)
    compared = compare(runs, baseline, asked.metric, names, asked.resamples, asked.seed)
    made = table.sheet(compared, asked.digits)
    lost = [f"{folder}: a run that did not end (no metrics.json); left out." for folder in unfinished(asked.folders)]
    return replace(made, notes=(*made.notes, *lost))


def _names(runs: Sequence[Run]) -> list[str]:
    """The runs' folders, without those above that all share."""
    folders = [str(run.folder.absolute()) for run in runs]
    above = os.path.commonpath(folders) if len(set(folders)) > 1 else str(runs[0].folder.absolute().parent)
    return [os.path.relpath(folder, above) for folder in folders]


def _baseline(runs: Sequence[Run], asked: str) -> int:
    places = {str(k + 1): k for k in range(len(runs))} | {str(run.folder.resolve()): k for k, run in enumerate(runs)}
    place = places.get(asked, places.get(str(Path(asked).resolve())))
    if place is None:
        listed = "".join(f"\n  {k + 1}  {run.folder}" for k, run in enumerate(runs))
        raise VaaError(f"--baseline {asked}: none of the runs. Give a number or a folder:{listed}")
    return place


if __name__ == "__main__":
    sys.exit(main())
