"""`python -m vaa.report.page FOLDER ...`: the page of any finished run, or of all runs in a folder, made anew."""

from __future__ import annotations

import argparse
import sys

from vaa.errors import VaaError
from vaa.report.page.build import Page
from vaa.report.runs import find


def main() -> None:
    """Write the pages and say where they are."""
    parser = argparse.ArgumentParser(prog="python -m vaa.report.page", description=__doc__)
    parser.add_argument("folders", nargs="+", help="a run's folder (outputs/METHOD/TIME), or one that holds runs")
    parser.add_argument("--copy", action="store_true", help="copy the videos in, so that the folder is self-contained")
    arguments = parser.parse_args()
    try:
        for run in find(arguments.folders):
            sys.stdout.write(f"{Page(copy=arguments.copy).write(run)}\n")
    except (VaaError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
