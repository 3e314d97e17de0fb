"""A hundred settings behind CoReVAD's recorded answers for UCF-Crime in one multirun, against a hundred programs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import SHARED
from benchmarks.startup import HOUSE, _replay
from benchmarks.timing import Row, clock

SIZES, WIDTHS, MISSING = (5, 7, 9, 11, 13), (0.2, 0.3, 0.4, 0.5, 0.6), (0.0, 0.2, 0.4, 0.6)
"""Size of the smoothing, width of the position weighting, and what stands for an answer that cannot be read.

The temperature of the refinement cannot be swept here: CoReVAD's features were not released.
"""
_ALONE = "from benchmarks.sweep import alone; alone()"


def rows() -> list[Row]:
    root = SHARED / "recorded"
    if not root.is_dir():
        return []
    grid = [
        f"smoothing.size={','.join(map(str, SIZES))}",
        f"position.width={','.join(map(str, WIDTHS))}",
        f"stages.score.missing={','.join(map(str, MISSING))}",
    ]
    settings = len(SIZES) * len(WIDTHS) * len(MISSING)
    command = [sys.executable, str(HOUSE / "run.py"), "-m", *_replay(root), "plots=false", "page=null", *grid]
    whole = [_seconds([*command, "details=false", "alerts=null"], settings) for _ in range(3)]
    detailed = _seconds(command, settings)
    there = {**os.environ, "PYTHONPATH": str(HOUSE), "RECORDED": str(root)}
    singly = [
        clock(lambda: subprocess.run([sys.executable, "-c", _ALONE], env=there, check=True, capture_output=True))
        for _ in range(3)
    ]
    reference = [each * settings for each in singly]
    ratio = statistics.median(reference) / statistics.median(whole)
    what, each = f"{settings} settings behind UCF-Crime's recorded answers", [seconds / settings for seconds in whole]
    one = statistics.median(each)
    return [
        Row(what, f"{settings} programs (3 were timed)", f"{ratio:.1f}x", ">= 5x", ratio >= 5, whole, reference),
        Row("the same, one setting", "-", f"{one:.2f} s", "<= 1 s", one <= 1, each),
        Row("the same with every video's scores and report, and the alerts", "the same, which write none",
            f"{statistics.median(reference) / detailed:.1f}x", "-", True, [detailed], reference),
    ]  # fmt: skip


def _seconds(command: list[str], settings: int) -> float:
    """What a multirun takes of which the first job alone asks."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WANDB_MODE": "disabled"}
        seconds = clock(lambda: subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True))
        found = [json.loads(file.read_text()) for file in Path(folder).rglob("metrics.json")]
    assert len(found) == settings
    assert sum(metrics["model_queries"] > 0 for metrics in found) == 1
    return seconds


def alone() -> None:
    """One evaluation as the papers' programs do it: read everything, frame by frame."""
    from benchmarks.evaluation import _catalogue, _frame_by_frame

    root = Path(os.environ["RECORDED"]) / "urf" / "ucf_crime"
    _frame_by_frame(_catalogue(root, "ucf_crime"), root / "refined_scores" / "videollama3")
