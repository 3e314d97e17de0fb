"""`python -m benchmarks [NAME ...]`: print a table and write `outputs/benchmarks.json`."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import statistics
import sys
import time
from pathlib import Path

from benchmarks.timing import Row
from vaa.process import PROJECT_ROOT

SECONDS = {
    "startup": 30,
    "evaluation": 30,
    "counting": 120,
    "sweep": 240,
    "pixels": 240,
    "queries": 240,
    "embedding": 90,
    "windows": 60,
    "stream": 90,
    "length": 60,
    "ray_workers": 150,
    "gpu": 600,
}
"""About how long each takes on two slow cores (the last one: on a GPU); a row takes less than 180 s."""
SHARED = PROJECT_ROOT.parent / "shared"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = [name for name in SECONDS if name != "gpu"]
    parser.add_argument("names", nargs="*", default=default, help=f"any of {', '.join(SECONDS)}; default: all but gpu")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks.json"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    rows: list[Row] = []
    print(f"about {sum(SECONDS[name] for name in args.names) / 60:.0f} minutes on two slow cores", file=sys.stderr)
    for name in args.names:
        print(f"{name}: about {SECONDS[name]} s on two slow cores", file=sys.stderr, flush=True)
        start, before = time.perf_counter(), len(rows)
        rows += importlib.import_module(f"benchmarks.{name}").rows()
        for row in rows[before:]:
            print(f"  {row.name}: {row.value}", file=sys.stderr)
        print(f"  {name} took {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
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
