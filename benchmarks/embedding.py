"""Memory over a long video, window to embedding: each length in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.timing import Row

HOUSE = Path(__file__).parents[1]
_PROGRAM = """
import sys
from pathlib import Path
from benchmarks.memory import peak
from vaa.models.transformers.encoder import Clip
from vaa.stages import embed
from vaa.stages.window import Consecutive
from vaa.tiny import prompts
from vaa.types import Report, Video
path, frames = Path(sys.argv[1]), int(sys.argv[2])
report = Consecutive(30, 8)(Report(Video("v", path, frames, 10.0)))
checkpoint = str(prompts.CHECKPOINTS / "clip")
encoder = Clip(checkpoint, None, "float32", "cpu", [0.45] * 3, [0.25] * 3, "bicubic", 64, "decord", 1, 1, "pil")
vectors = sum(1 for _ in encoder.embed(embed.segment_queries(report)))
assert vectors == len(report.segments)
print(peak())
"""


def rows() -> list[Row]:
    peaks = {}
    for minutes in (2, 120):
        path = clip(Path("outputs/benchmarks") / f"{minutes}minutes.mp4", 60 * minutes, 100, (128, 128), 10)
        command = [sys.executable, "-c", _PROGRAM, str(path), str(600 * minutes)]
        done = subprocess.run(command, cwd=HOUSE, check=True, capture_output=True, text=True)
        peaks[minutes] = float(done.stdout.split()[-1])
    found = peaks[120] / peaks[2]
    said = f"{found:.2f}x ({peaks[120]:.0f} MB, {peaks[2]:.0f} MB)"
    return [
        Row("memory over a 2-hour video, window to embedding", "a 2-minute video", said, "<= 1.1x", found <= 1.1, [])
    ]
