"""Memory for embedding a long video, each length in its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.timing import Row

PROJECT = Path(__file__).parents[1]
SHORT, LONG = 2, 30  # minutes
_PROGRAM = """
import sys
from pathlib import Path
from benchmarks.memory import peak
from benchmarks.windows import run
from vaa.cache import AnswerCache
from vaa.models.transformers.encoder import ClipEncoder
from vaa.tiny import prompts
from vaa.types import Video
path, frames = Path(sys.argv[1]), int(sys.argv[2])
encoder = ClipEncoder(
    checkpoint=str(prompts.CHECKPOINTS / "clip"), revision=None, dtype="float32", device_map="cpu", mean=[0.45] * 3,
    std=[0.25] * 3, resample="bicubic", batch_size=64, decoder="decord", stride=1, workers=1, resize="pil",
)
vectors = run([Video("v", path, frames, 10.0)], encoder, AnswerCache(None), 30)
assert len(vectors) == frames // 30
print(peak())
"""


def rows() -> list[Row]:
    peaks = {}
    for minutes in (SHORT, LONG):
        path = clip(Path("outputs/benchmarks") / f"{minutes}minutes.mp4", 60 * minutes, 100, (128, 128), 10)
        command = [sys.executable, "-c", _PROGRAM, str(path), str(600 * minutes)]
        done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
        peaks[minutes] = float(done.stdout.split()[-1])
    ratio = peaks[LONG] / peaks[SHORT]
    value = f"{ratio:.2f}x ({peaks[LONG]:.0f} MB, {peaks[SHORT]:.0f} MB)"
    return [
        Row(
            f"memory over {LONG} minutes of video, window to embedding",
            f"of {SHORT} minutes",
            value,
            "<= 1.1x",
            ratio <= 1.1,
            [],
        )
    ]
