"""`python -m vaa.report.page FOLDER ...`: write the page of a finished run, or of all runs in a folder, again."""

from __future__ import annotations

import argparse
import sys

from vaa import process
from vaa.errors import VaaError
from vaa.report.page.build import Page
from vaa.report.run_folder import output_errors
from vaa.report.runs import find_runs


def main() -> None:
    """Write the pages and print their paths."""
    parser = argparse.ArgumentParser(prog="python -m vaa.report.page", description=__doc__)
    parser.add_argument("folders", nargs="+", help="a run's folder (outputs/METHOD/TIME), or one that holds runs")
    copies = parser.add_mutually_exclusive_group()
    copies.add_argument("--copy", action="store_true", help="copy the videos into the run's folder")
    copies.add_argument("--encode", action="store_true", help="the same, as H.264 without sound, which browsers play")
    args = parser.parse_args()
    process.configure()
    page = Page(copy="encoded" if args.encode else args.copy)
    try:
        for run in find_runs(args.folders):
            with output_errors(run.folder):
                sys.stdout.write(f"{page.write(run)}\n")
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
