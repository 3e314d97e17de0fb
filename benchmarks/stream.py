"""A stream: memory over twelve minutes compared with two minutes, and the speed relative to real time."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.timing import Row
from vaa.process import PROJECT_ROOT

_PROGRAM = """
import runpy, sys, time
from benchmarks.memory import peak
start = time.perf_counter()
runpy.run_path("run.py", run_name="__main__")
seconds = time.perf_counter() - start
print(peak(), seconds)
"""
SHORT, LONG = 2, 12  # minutes


def rows() -> list[Row]:
    peaks, seconds, segments = {}, {}, {}
    for minutes in (SHORT, LONG):
        path = clip(Path("outputs/benchmarks") / f"{minutes}minutes.mp4", 60 * minutes, 100, (128, 128), 10)
        with tempfile.TemporaryDirectory() as folder:
            overrides = ["data=stream", f"data.url={path.resolve()}", "causal=true", "position=none"]
            command = [sys.executable, "-c", _PROGRAM, *overrides, f"hydra.run.dir={folder}"]
            result = subprocess.run(command, cwd=PROJECT_ROOT, check=True, capture_output=True, text=True)
            scores = [json.loads(line) for line in (Path(folder) / "scores.jsonl").read_text().splitlines()]
        peak, duration = result.stdout.split()[-2:]
        peaks[minutes], seconds[minutes], segments[minutes] = float(peak), float(duration), len(scores)
    assert segments == {minutes: 20 * minutes for minutes in segments}
    ratio, speed = peaks[LONG] / peaks[SHORT], 60 * (LONG - SHORT) / (seconds[LONG] - seconds[SHORT])
    value = f"{ratio:.2f}x ({peaks[LONG]:.0f} MB, {peaks[SHORT]:.0f} MB); {speed:.1f} times real time"
    name = f"memory over a stream of {LONG} minutes, the default method"
    return [Row(name, f"of {SHORT} minutes", value, "<= 1.1x", ratio <= 1.1, list(seconds.values()))]
