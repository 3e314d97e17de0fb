"""Memory for embedding a long video, each length in its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.timing import Row

PROJECT = Path(__file__).parents[1]
_PROGRAM = """
import sys
from pathlib import Path
from benchmarks.memory import peak
from vaa.models.transformers.encoder import ClipEncoder
from vaa.stages.window import ConsecutiveWindow
from vaa.tiny import prompts
from vaa.types import EmbedQuery, Report, Video
path, frames = Path(sys.argv[1]), int(sys.argv[2])
report = ConsecutiveWindow(length=30, n_frames=8)(Report(Video("v", path, frames, 10.0)))
encoder = ClipEncoder(
    checkpoint=str(prompts.CHECKPOINTS / "clip"), revision=None, dtype="float32", device_map="cpu", mean=[0.45] * 3,
    std=[0.25] * 3, resample="bicubic", batch_size=64, decoder="decord", stride=1, workers=1, resize="pil",
)
queries = [
    EmbedQuery(video=report.video, at=segment.at, frames=tuple(range(segment.start, segment.stop)))
    for segment in report.segments
]
vectors = sum(1 for _ in encoder.embed(queries))
assert vectors == len(report.segments)
print(peak())
"""


def rows() -> list[Row]:
    peaks = {}
    for minutes in (2, 120):
        path = clip(Path("outputs/benchmarks") / f"{minutes}minutes.mp4", 60 * minutes, 100, (128, 128), 10)
        command = [sys.executable, "-c", _PROGRAM, str(path), str(600 * minutes)]
        done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
        peaks[minutes] = float(done.stdout.split()[-1])
    ratio = peaks[120] / peaks[2]
    value = f"{ratio:.2f}x ({peaks[120]:.0f} MB, {peaks[2]:.0f} MB)"
    return [
        Row("memory over a 2-hour video, window to embedding", "a 2-minute video", value, "<= 1.1x", ratio <= 1.1, [])
    ]
