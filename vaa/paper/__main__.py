"""`python -m vaa.paper FOLDER`: replay the authors' released files, write docs/results.json and docs/results.md."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from vaa import process
from vaa.errors import OutputError, VaaError
from vaa.installation import CHECKOUT
from vaa.paper import leaderboard
from vaa.paper.page import make_page
from vaa.paper.record import make_record, own_metrics
from vaa.paper.replay import ReleasedFiles, find_files, has_files, replay
from vaa.paper.rows import BATCHES, OWN_ROWS
from vaa.report.files import write_bytes

log = logging.getLogger("vaa")
DOCS = (process.PROJECT_ROOT if CHECKOUT else Path()) / "docs"


def main(argv: Sequence[str] | None = None) -> int:
    """Replay all batches and write the page, print the message of an error; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vaa.paper", description=__doc__)
    parser.add_argument(
        "recorded", type=Path, metavar="FOLDER", help="has urf/, corevad/, vera/ (and vadtree/, probe/)"
    )
    parser.add_argument("--out", type=Path, default=DOCS, help="folder for results.json and results.md (docs/)")
    parser.add_argument("--runs", type=Path, default=Path("outputs/paper"), help="folder for the runs (outputs/paper)")
    parser.add_argument("--keep", action="store_true", help="do not run batches again that are complete in --runs")
    parser.add_argument(
        "--own", action="store_true", help="run this project's own rows again, an hour or more; needs `make models`"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        _make(args)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"The tables are in {args.out / 'results.md'}, the runs in {args.runs}.\n")
    return 0


def _make(args: argparse.Namespace) -> None:
    files = find_files(args.recorded)
    wanted = [*BATCHES, *(row.batch for row in leaderboard.ROWS)]
    batches = [batch for batch in wanted if has_files(batch, files)]
    if absent := [batch.name for batch in wanted if batch not in batches]:
        log.info("Left out, their files are not in %s: %s", args.recorded, ", ".join(absent))
    try:
        runs = {batch.name: replay(batch, files, args.runs, args.keep) for batch in batches}
        own = own_rows(args, files)
        record = orjson.dumps(make_record(runs, files.urf, own), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        write_bytes(args.out / "results.json", record)
        write_bytes(args.out / "results.md", make_page(orjson.loads(record)).encode())
    except OSError as error:
        raise OutputError(f"Results cannot be written: {error}") from error


def own_rows(args: argparse.Namespace, files: ReleasedFiles) -> dict[str, Any]:
    """The metrics of the own rows by experiment: of new runs with --own, else those of the last record."""
    if args.own:
        jobs = {row.experiment: replay(row.batch, files, args.runs, args.keep) for row in OWN_ROWS}
        return {name: own_metrics(run) for name, runs in jobs.items() for run in runs.values()}
    last = args.out / "results.json"
    return dict(orjson.loads(last.read_bytes()).get("own", {})) if last.is_file() else {}


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
