"""GPUs shared out among processes that run jobs side by side on this machine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import subprocess

log = logging.getLogger("vaa")

_JOBLIB = "LokyProcess-"  # with its number, from 1


def share_out() -> None:
    """In a process of joblib's, leave one of the visible GPUs to be seen, by the number of the process.

    Not by the job's: joblib gives a process job after job, as they come, and CUDA keeps the device that a process
    began with.
    """
    name = multiprocessing.current_process().name
    gpus = _visible() if name.startswith(_JOBLIB) else []
    if len(gpus) > 1:
        own = gpus[(int(name.removeprefix(_JOBLIB)) - 1) % len(gpus)]
        os.environ["CUDA_VISIBLE_DEVICES"] = own
        log.info("This process sees GPU %s only; the launcher's other processes have the others.", own)


def _visible() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu.strip() for gpu in named.split(",") if gpu.strip()]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    said = subprocess.run([program, "-L"], capture_output=True, text=True, check=False).stdout
    return [str(k) for k, _ in enumerate(line for line in said.splitlines() if line.startswith("GPU "))]
