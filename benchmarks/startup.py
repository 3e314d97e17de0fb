"""The time of a command that only composes a config, and of a run over recorded answers."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import SHARED
from benchmarks.timing import Row, clock
from vaa.process import PROJECT_ROOT


def run(*overrides: str, cwd: str | None = None) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "run.py"), *overrides],
        cwd=cwd,
        env=environment,
        check=True,
        capture_output=True,
    )


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        config = [clock(lambda: run("--cfg", "job", cwd=folder)) for _ in range(6)][1:]
        result = [_row("python run.py --cfg job", config, 1.5)]
        root = SHARED / "recorded"
        if root.is_dir():
            whole = [clock(lambda: run(*replay_overrides(root), cwd=folder)) for _ in range(4)][1:]
            result.append(_row("CoReVAD's 37,188 recorded answers (290 videos), all plots and pages", whole, 10))
    return result


def replay_overrides(root: Path) -> list[str]:
    return [
        "method=corevad", "data=ucf_crime", f"data.root={root / 'urf/ucf_crime'}", "vlm=recorded",
        f"vlm.root={root / 'corevad'}", "~stages.clean", "refinement=none",
    ]  # fmt: skip


def _row(name: str, seconds: list[float], limit: float) -> Row:
    median = statistics.median(seconds)
    return Row(name, "-", f"{median:.2f} s", f"< {limit:g} s", median < limit, seconds)
