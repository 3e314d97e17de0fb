"""What concerns the whole process: interrupts, timeouts, threads, garbage collection, visible GPUs.

Importing vaa changes nothing of the process; `configure` is called by `vaa` and the other commands.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from vaa.errors import ConfigError

log = logging.getLogger("vaa")

PROJECT_ROOT = Path(__file__).parents[1]
"""The folder that holds `vaa/`: the clone, with `conf/` and `run.py`, or where the package is installed."""

T = TypeVar("T")


@cache
def configure() -> None:
    """Set what has to hold for the whole process; call it once, before torch is imported.

    - OpenMP threads spin briefly before they sleep: GNU's default of 300,000 iterations blocks cores that other
      processes need (a run took five times as long); no spinning makes waking up a tenth slower (docs/experiments.md).
    - No telemetry of the Hugging Face hub.
    - Garbage is collected less often: a run holds many small objects for its whole length.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    gc.set_threshold(50_000, 20, 50)
    protect_forks()


@cache
def protect_forks() -> None:
    """Make forked children safe; whatever starts a pool of forked processes calls this.

    - A child never frees objects of its parent: a decoder's destructor would wait for threads that do not exist there.
    - The progress bar's lock is not shared with children: one that is killed while it holds the lock would block all.
    """
    from tqdm import tqdm

    os.register_at_fork(after_in_child=gc.freeze)
    tqdm.set_lock(threading.RLock())


_interrupted = threading.Event()


@contextmanager
def graceful_interrupts() -> Iterator[None]:
    """Record the first Control-C for `check_interrupted`; a second one raises KeyboardInterrupt at once."""
    _interrupted.clear()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set signal handlers
        yield
        return
    previous = signal.signal(signal.SIGINT, _on_sigint)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        _interrupted.clear()


def check_interrupted() -> None:
    """Call this where a run can stop without losing an answer.

    Raises:
        KeyboardInterrupt: Control-C was pressed.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt


def interrupt_requested() -> bool:
    """Whether Control-C was pressed, for code that finishes its work in progress first."""
    return _interrupted.is_set()


def _on_sigint(number: int, frame: Any) -> None:
    if _interrupted.is_set():
        signal.default_int_handler(number, frame)
    _interrupted.set()
    log.warning("Interrupted: the run stops after the current batch. Press Control-C again to stop at once.")


def peak_memory() -> int | None:
    """The most main memory, in bytes, of this process and of those it has started and that still run; None if unknown.

    The sum of each one's own peak: an upper bound, since processes share memory. Known on Linux only.
    """
    try:
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with suppress(OSError):  # it has ended
                    fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                    parents.setdefault(int(fields[1]), []).append(int(folder.name))
        family, total = [os.getpid()], 0
        for pid in family:
            family += parents.get(pid, [])
            with suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text(errors="replace")
                total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except OSError:
        return None
    return total * 1024 or None


def run_with_timeout(seconds: float, action: Callable[[], T]) -> T:
    """Run an action in a thread and return what it returns, or raise what it raises.

    Raises:
        TimeoutError: the action takes longer. Its thread is abandoned and ends with the process at the latest.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(action())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, name="vaa-timeout", daemon=True).start()
    return result.result(seconds)


@contextmanager
def forked(action: Callable[[], None], limit: float = 60.0) -> Iterator[None]:
    """Do an action that only writes files in a forked process while the block runs.

    Where that process cannot start, fails or takes longer than `limit` seconds after the block, the action is done
    here, and raises what it raises.
    """
    protect_forks()
    child = multiprocessing.get_context("fork").Process(target=_exit_status_of, args=[action], daemon=True)
    started = True
    try:
        child.start()
    except (OSError, AssertionError) as error:  # no memory; a daemonic process may not have children
        log.debug("No other process starts: %s", error)
        started = False
    try:
        yield
        if started:
            child.join(limit)
    finally:
        if started and child.exitcode is None:
            child.kill()
            child.join()
    if child.exitcode != 0:
        action()


def _exit_status_of(action: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent
    try:
        action()
    except Exception:
        log.debug("Another process failed and its work is done again here.", exc_info=True)
        sys.exit(1)


def decode_timeout() -> float:
    """Seconds that opening a video file, or decoding one batch of frames, may take in this process."""
    return _decode_timeout


def set_decode_timeout(seconds: float) -> None:
    """Set the time limit of decoding for this process and those that it forks.

    It is no field of models and data sets: it changes no result, and one file system serves them all.

    Raises:
        ConfigError: the limit is not a number above 0.
    """
    global _decode_timeout
    if not isinstance(seconds, int | float) or not 0 < seconds <= threading.TIMEOUT_MAX:
        raise ConfigError(f"decode_timeout={seconds}: must be a number of seconds above 0, as in decode_timeout=300.")
    _decode_timeout = seconds


_decode_timeout = 300.0

_JOBLIB = "LokyProcess-"  # followed by a number, from 1


def assign_gpu() -> None:
    """In a worker process of joblib, leave one of the visible GPUs visible, chosen by the number of the process.

    Not by the number of the job: joblib gives one process several jobs, and CUDA keeps the device it began with.
    """
    name = multiprocessing.current_process().name
    gpus = _visible_gpus() if name.startswith(_JOBLIB) else []
    if len(gpus) > 1:
        own = gpus[(int(name.removeprefix(_JOBLIB)) - 1) % len(gpus)]
        os.environ["CUDA_VISIBLE_DEVICES"] = own
        log.info("This process sees GPU %s only; the launcher's other processes have the others.", own)


def _visible_gpus() -> list[str]:
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is not None:
        return [gpu.strip() for gpu in names.split(",") if gpu.strip()]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listing = subprocess.run([program, "-L"], capture_output=True, text=True, check=False).stdout
    return [str(k) for k, _ in enumerate(line for line in listing.splitlines() if line.startswith("GPU "))]
