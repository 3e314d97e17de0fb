"""What the commands that write a sheet share: how it looks, where it goes, what is said where it cannot be made."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from vaa.compare.formats import FORMATS, Sheet, chosen, written
from vaa.errors import VaaError
from vaa.report.files import put


def add_options(parser: argparse.ArgumentParser, of_the_seed: str | None = None) -> None:
    """What every sheet can be asked for."""
    parser.add_argument("--format", choices=FORMATS, help="else by the suffix of --out, else table")
    parser.add_argument("--out", type=Path, help="write to this file: .md, .tex, .csv, .html, .txt")
    parser.add_argument("--resamples", type=int, default=1000, help="of the videos, for the intervals (1000)")
    parser.add_argument("--seed", type=int, default=0, help=of_the_seed)
    parser.add_argument("--digits", type=int, default=4, help="of the numbers that people read (4)")


def write(made: Callable[[argparse.Namespace], Sheet], asked: argparse.Namespace) -> int:
    """Make the sheet, write it, and say in words what went wrong; the exit status."""
    try:
        form = chosen(asked.format, asked.out)
        text = written(made(asked), form, colour=asked.out is None and sys.stdout.isatty())
        if asked.out is None:
            sys.stdout.write(text)
        else:
            put(asked.out, text.encode())
    except (VaaError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
