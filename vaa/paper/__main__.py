"""`python -m vaa.paper RECORDED`: replay what the authors released, write docs/results.json and docs/results.md."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from vaa.errors import VaaError
from vaa.paper.page import page
from vaa.paper.record import record
from vaa.paper.recorded import recorded
from vaa.paper.replay import replay
from vaa.paper.rows import BATCHES
from vaa.process import PROJECT_ROOT
from vaa.report.files import put

DOCS = PROJECT_ROOT / "docs"


def main(words: Sequence[str] | None = None) -> int:
    """Replay, write, and say in words what went wrong; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vaa.paper", description=__doc__)
    parser.add_argument("recorded", type=Path, help="a folder with urf/, corevad/ and vera/ (python -m vaa.data.fetch)")
    parser.add_argument("--out", type=Path, default=DOCS, help="where results.json and results.md go (docs/)")
    parser.add_argument("--runs", type=Path, default=Path("outputs/paper"), help="where the runs go (outputs/paper)")
    parser.add_argument("--keep", action="store_true", help="take finished batches in --runs as they are")
    asked = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        files = recorded(asked.recorded)
        found = {batch.name: replay(batch, files, asked.runs, asked.keep) for batch in BATCHES}
        numbers = record(found, files.urf)
        written = orjson.dumps(numbers, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        put(asked.out / "results.json", written)
        put(asked.out / "results.md", page(orjson.loads(written)).encode())
    except (VaaError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{asked.out / 'results.md'} holds the tables, {asked.runs} the runs.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
