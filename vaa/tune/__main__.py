"""`python -m vaa.tune RUN --grid smoothing.sigma=5,10,20`: settings, chosen where they are not reported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vaa.compare import command
from vaa.compare.formats import Sheet
from vaa.compare.measures import RESAMPLED
from vaa.errors import VaaError
from vaa.report.runs import Run, find
from vaa.tune import answer, choosing, grid
from vaa.tune.answer import Resampling, TunedRow
from vaa.tune.choosing import SelectionRule
from vaa.tune.sheet import sheet
from vaa.tune.source import source


def main(words: Sequence[str] | None = None) -> int:
    """Choose, count, write, and say in words what went wrong; the exit status."""
    return command.write(_sheet, _parser().parse_args(words))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vaa.tune", description=__doc__)
    parser.add_argument("run", help="a finished run of method=scored: its scores and labels are what is chosen on")
    help_grid = "KEY=VALUE,VALUE words, all combinations; give it again for another grid beside the first"
    parser.add_argument("--grid", nargs="+", action="append", required=True, metavar="KEY=VALUES", help=help_grid)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--report", metavar="RUN", help="count the choice on this run, of another data set")
    where.add_argument("--split", type=Path, metavar="FILE", help="choose on the videos it names, one a line")
    where.add_argument("--folds", type=int, default=5, help="else: nested over videos, in so many folds (5)")
    help_by = "choose by the mean of these (roc_auc ap within_video_auc)"
    parser.add_argument("--by", nargs="+", default=["roc_auc", "ap", "within_video_auc"], help=help_by)
    parser.add_argument("--every", type=int, default=1, help="choose on one in N frames; all are reported on (1)")
    command.add_options(parser, "of the folds and the resamples (0)")
    return parser


def _sheet(asked: argparse.Namespace) -> Sheet:
    unknown = [name for name in asked.by if name not in RESAMPLED or name.startswith("tiou")]
    if unknown:
        known = ", ".join(name for name in RESAMPLED if not name.startswith("tiou"))
        raise VaaError(f"--by {unknown[0]}: no such metric of scores. Known: {known}.")
    if asked.every < 1 or asked.resamples < 0 or asked.digits < 0:
        raise VaaError("--every is at least 1; --resamples and --digits are not negative.")
    settings, rule = grid.settings(asked.grid), SelectionRule(tuple(asked.by), asked.every)
    rows = _rows(asked, settings, rule)
    by = f"{'mean of ' if len(asked.by) > 1 else ''}{', '.join(asked.by)}"
    by += f", on one in {asked.every} frames," if asked.every > 1 else ""
    said = f"Brackets: 95 % interval of the difference, {asked.resamples} paired resamples of the videos."
    return sheet(rows, len(settings), by, said, asked.digits)


def _rows(asked: argparse.Namespace, settings: Sequence[grid.Setting], rule: SelectionRule) -> list[TunedRow]:
    sampling = Resampling(asked.resamples, asked.seed)
    first = source(_one(asked.run), settings)
    if asked.report is not None:
        other = source(_one(asked.report), settings)
        if set(first.videos) & set(other.videos):
            raise VaaError(f"--report {asked.report}: it shares videos with {asked.run}. Use --folds to stay on them.")
        done = choosing.tried(first, settings, choosing.whole(first), rule)
        return answer.elsewhere(done, first.name, other, sampling)
    if asked.split is not None:
        names = [line.strip() for line in asked.split.read_text(encoding="utf-8").splitlines() if line.strip()]
        held_out = choosing.split(first, names)
        return answer.parted(first, choosing.tried(first, settings, held_out, rule), held_out, sampling)
    return answer.nested(first, settings, asked.folds, rule, sampling)


def _one(folder: str) -> Run:
    found = find([folder])
    if len(found) > 1:
        listed = "".join(f"\n  {run.folder}" for run in found)
        raise VaaError(f"{folder} holds {len(found)} runs; name one:{listed}")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
