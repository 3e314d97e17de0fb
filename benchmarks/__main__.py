"""`python -m benchmarks [NAME ...]`: the table, and `outputs/benchmarks.json`."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import statistics
import sys
from pathlib import Path

from benchmarks.timing import Row

NAMES = ("startup", "evaluation", "sweep", "pixels", "queries", "gpu", "embedding", "stream", "length", "ray_workers")
SHARED = Path(__file__).parents[2] / "shared"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, help=f"of {', '.join(NAMES)}; all of them without a name")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks.json"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    rows: list[Row] = []
    for name in given.names:
        rows += importlib.import_module(f"benchmarks.{name}").rows()
        for row in rows[-1:]:
            print(f"{row.name}: {row.value}", file=sys.stderr)
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"\n| row | reference beside it | measured | wanted | met | ours (s) | reference (s) |\n|{'---|' * 7}")
    for row in rows:
        print(f"| {row.name} | {row.reference} | {row.value} | {row.wanted} | {_met(row)} "
              f"| {_seconds(row.ours)} | {_seconds(row.theirs)} |")  # fmt: skip
    print(f"\nMedians of the runs, (least to most); {machine}.")
    held = json.loads(given.out.read_text())["rows"] if given.out.is_file() else {}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine, "rows": held | {row.name: row.told() for row in rows}}
    given.out.write_text(json.dumps(told, indent=1) + "\n")


def _met(row: Row) -> str:
    return "" if row.wanted == "-" else "yes" if row.met else "NO"


def _seconds(seconds: object) -> str:
    values = list(seconds)  # type: ignore[call-overload]
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else ""


if __name__ == "__main__":
    main()
