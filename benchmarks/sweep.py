"""A multirun of 100 settings over CoReVAD's recorded answers for UCF-Crime, against 100 runs of a plain program."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import SHARED
from benchmarks.evaluation import frame_by_frame, load_dataset
from benchmarks.startup import replay_overrides
from benchmarks.timing import Row, clock, repeats_within
from vaa.process import PROJECT_ROOT

SIZES, WIDTHS, MISSING = (5, 7, 9, 11, 13), (0.2, 0.3, 0.4, 0.5, 0.6), (0.0, 0.2, 0.4, 0.6)
"""Size of the smoothing, width of the position weighting, and the score of an unparsed answer.

The temperature of the refinement cannot be swept: CoReVAD's features were not released.
"""
_REFERENCE = "from benchmarks.sweep import run_reference; run_reference()"


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
    command = [
        sys.executable,
        str(PROJECT_ROOT / "run.py"),
        "-m",
        *replay_overrides(root),
        "plots=false",
        "page=null",
    ]
    plain = [*command, *grid, "details=false", "alerts=null"]
    multirun = [_seconds(plain, settings)]
    multirun += [_seconds(plain, settings) for _ in range(1, repeats_within(multirun[0], most=3))]
    few = len(SIZES) * len(WIDTHS)
    detailed = _seconds([*command, *grid[:2]], few)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "RECORDED": str(root)}
    program = [sys.executable, "-c", _REFERENCE]
    single = [
        clock(lambda: subprocess.run(program, env=environment, check=True, capture_output=True)) for _ in range(3)
    ]
    reference = [seconds * settings for seconds in single]
    ratio = statistics.median(reference) / statistics.median(multirun)
    name = f"{settings} settings over UCF-Crime's recorded answers"
    per_setting = [seconds / settings for seconds in multirun]
    median = statistics.median(per_setting)
    return [
        Row(name, f"{settings} programs (3 were timed)", f"{ratio:.1f}x", ">= 5x", ratio >= 5, multirun, reference),
        Row("the same, one setting", "-", f"{median:.2f} s", "<= 1 s", median <= 1, per_setting),
        Row(f"{few} of them with every video's scores and report, and the alerts", f"{few} programs, no such files",
            f"{statistics.median(single) * few / detailed:.1f}x", "-", True, [detailed]),
    ]  # fmt: skip


def _seconds(command: list[str], settings: int) -> float:
    """The seconds of a multirun; only its first job may query the model."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WANDB_MODE": "disabled"}
        seconds = clock(lambda: subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True))
        metrics = [json.loads(file.read_text()) for file in Path(folder).rglob("metrics.json")]
    assert len(metrics) == settings
    assert sum(each["model_queries"] > 0 for each in metrics) == 1
    return seconds


def run_reference() -> None:
    """Evaluate one setting as the papers' programs do: read all files, go through all frames."""
    root = Path(os.environ["RECORDED"]) / "urf" / "ucf_crime"
    frame_by_frame(load_dataset(root, "ucf_crime"), root / "refined_scores" / "videollama3")
