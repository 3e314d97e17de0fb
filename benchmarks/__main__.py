"""`python -m benchmarks [NAME ...]`: print a table and write `outputs/benchmarks.json`."""

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
from vaa.process import PROJECT_ROOT

NAMES = ("startup", "evaluation", "sweep", "pixels", "queries", "gpu", "embedding", "stream", "length", "ray_workers")
SHARED = PROJECT_ROOT.parent / "shared"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, help=f"any of {', '.join(NAMES)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks.json"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    rows: list[Row] = []
    for name in args.names:
        rows += importlib.import_module(f"benchmarks.{name}").rows()
        for row in rows[-1:]:
            print(f"{row.name}: {row.value}", file=sys.stderr)
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"\n| row | reference | measured | required | met | ours (s) | reference (s) |\n|{'---|' * 7}")
    for row in rows:
        print(f"| {row.name} | {row.reference} | {row.value} | {row.required} | {_met(row)} "
              f"| {_seconds(row.seconds)} | {_seconds(row.reference_seconds)} |")  # fmt: skip
    print(f"\nMedians of the repeats (lowest to highest); {machine}.")
    earlier = json.loads(args.out.read_text())["rows"] if args.out.is_file() else {}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine, "rows": earlier | {row.name: row.as_dict() for row in rows}}
    args.out.write_text(json.dumps(results, indent=1) + "\n")


def _met(row: Row) -> str:
    return "" if row.required == "-" else "yes" if row.met else "NO"


def _seconds(seconds: object) -> str:
    values = list(seconds)  # type: ignore[call-overload]
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else ""


if __name__ == "__main__":
    main()
