"""A stream scored as it comes: memory over half an hour against two minutes, and how many times real time it goes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.timing import Row

HOUSE = Path(__file__).parents[1]
_PROGRAM = """
import runpy, sys, time
from benchmarks.memory import peak
began = time.perf_counter()
runpy.run_path("run.py", run_name="__main__")
took = time.perf_counter() - began
print(peak(), took)
"""
SHORT, LONG = 2, 30  # minutes


def rows() -> list[Row]:
    peaks, seconds, segments = {}, {}, {}
    for minutes in (SHORT, LONG):
        path = clip(Path("outputs/benchmarks") / f"{minutes}minutes.mp4", 60 * minutes, 100, (128, 128), 10)
        with tempfile.TemporaryDirectory() as folder:
            options = ["data=stream", f"data.url={path.resolve()}", "causal=true", "position=none"]
            command = [sys.executable, "-c", _PROGRAM, *options, f"hydra.run.dir={folder}"]
            done = subprocess.run(command, cwd=HOUSE, check=True, capture_output=True, text=True)
            scored = [json.loads(line) for line in (Path(folder) / "scores.jsonl").read_text().splitlines()]
        peak, took = done.stdout.split()[-2:]
        peaks[minutes], seconds[minutes], segments[minutes] = float(peak), float(took), len(scored)
    assert segments == {minutes: 20 * minutes for minutes in segments}
    found, speed = peaks[LONG] / peaks[SHORT], 60 * (LONG - SHORT) / (seconds[LONG] - seconds[SHORT])
    said = f"{found:.2f}x ({peaks[LONG]:.0f} MB, {peaks[SHORT]:.0f} MB); {speed:.1f} times real time"
    what = f"memory over a stream of {LONG} minutes, the default method"
    return [Row(what, f"of {SHORT} minutes", said, "<= 1.1x", found <= 1.1, list(seconds.values()))]
