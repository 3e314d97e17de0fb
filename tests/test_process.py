"""Interrupts, timeouts, threads and visible GPUs of the process."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vaa import process
from vaa.errors import ConfigError


def test_the_first_control_c_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGINT)
    with process.graceful_interrupts():
        process.check_interrupted()
        signal.raise_signal(signal.SIGINT)
        assert process.interrupt_requested()
        assert "again to stop at once" in caplog.text
        with pytest.raises(KeyboardInterrupt):
            process.check_interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_control_c_raises_and_the_next_run_starts_clean() -> None:
    with process.graceful_interrupts():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not process.interrupt_requested()
    with process.graceful_interrupts():
        assert not process.interrupt_requested()


def test_other_threads_leave_the_signal_handler() -> None:
    before, handlers = signal.getsignal(signal.SIGINT), []

    def run() -> None:
        with process.graceful_interrupts():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_an_action_within_its_time_returns_or_raises() -> None:
    assert process.run_with_timeout(60.0, lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(ZeroDivisionError):
        process.run_with_timeout(60.0, lambda: 1 / 0)


def test_a_slow_action_is_abandoned() -> None:
    release = threading.Event()
    try:
        with pytest.raises(TimeoutError):
            process.run_with_timeout(0.1, release.wait)
        assert any(thread.name == "vaa-timeout" and thread.daemon for thread in threading.enumerate())
    finally:
        release.set()


def test_the_time_limit_of_decoding_is_a_number_above_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_decode_timeout", 300.0)
    process.set_decode_timeout(0.5)
    assert process.decode_timeout() == 0.5
    for wrong in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="decode_timeout="):
            process.set_decode_timeout(wrong)
    assert process.decode_timeout() == 0.5


STATE = """
import gc, os, sys
before = (dict(os.environ), gc.get_threshold())
import vaa.experiment, vaa.data.synthetic, vaa.models.transformers.vlm
print((dict(os.environ), gc.get_threshold()) == before, "torch" in sys.modules, "wandb" in sys.modules)
"""


def test_importing_vaa_changes_nothing_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", STATE], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False", "False"]


CONFIGURE = "import os; from vaa import process; process.configure(); print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("environment", "spin_count"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "None")],
    ids=str,
)
def test_openmp_threads_spin_briefly_unless_the_user_sets_it(environment: dict[str, str], spin_count: str) -> None:
    rest = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURE], env={**rest, **environment}, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == spin_count


COMMANDS = """
import runpy, sys
from vaa import process

process.configure = lambda: sys.exit(int("torch" in sys.modules))
for sys.argv in (["vaa.compare", "R"], ["vaa.paper", "R"], ["vaa.report.page", "R"], ["vaa.tune", "R"],
                 ["vaa.tiny.measure"], ["vaa.tiny.train"]):
    try:
        runpy.run_module(sys.argv[0], run_name="__main__")
    except SystemExit as status:
        print(sys.argv[0], status.code)
"""


def test_commands_configure_the_process_before_torch_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", COMMANDS], check=True, capture_output=True, text=True)
    statuses = dict(line.split() for line in done.stdout.splitlines())
    assert len(statuses) == 6
    assert set(statuses.values()) == {"0"}


@pytest.fixture
def visible_to(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A function: name of the process -> CUDA_VISIBLE_DEVICES after `assign_gpu`."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "restored by monkeypatch")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")

    def visible(name: str) -> str | None:
        monkeypatch.setattr(multiprocessing.current_process(), "name", name)
        process.assign_gpu()
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    return visible


@pytest.mark.parametrize(("number", "gpu"), [(1, "4"), (2, "6"), (3, "4")])
def test_joblib_workers_get_one_gpu_each(number: int, gpu: str, visible_to) -> None:  # type: ignore[no-untyped-def]
    os.environ["CUDA_VISIBLE_DEVICES"] = "4,6"
    assert visible_to(f"LokyProcess-{number}") == gpu
    assert visible_to(f"LokyProcess-{number}") == gpu  # its next job


def test_all_gpus_of_the_machine_are_assigned(  # type: ignore[no-untyped-def]
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible_to
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: H200 (UUID: GPU-a)'\necho 'GPU 1: H200 (UUID: GPU-b)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert visible_to("LokyProcess-2") == "1"


@pytest.mark.parametrize(("name", "gpus"), [("MainProcess", "4,6"), ("LokyProcess-2", "4"), ("LokyProcess-2", "")])
def test_nothing_changes_without_several_gpus_and_joblib(name: str, gpus: str, visible_to) -> None:  # type: ignore[no-untyped-def]
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    assert visible_to(name) == gpus


@pytest.mark.parametrize("ends", ["well", "with an error", "by a signal", "too late"])
def test_a_forked_action_is_done_once_more_here_where_its_process_fails(tmp_path: Path, ends: str) -> None:
    file, here = tmp_path / "process.txt", os.getpid()

    def write() -> None:
        if os.getpid() != here:
            if ends == "with an error":
                raise ValueError("only there")
            if ends == "by a signal":
                os.kill(os.getpid(), signal.SIGKILL)
            if ends == "too late":
                threading.Event().wait()
        file.write_text(str(os.getpid()))

    with process.forked(write, limit=60.0 if ends != "too late" else 0.01):
        pass
    assert (file.read_text() == str(here)) is (ends != "well")


def test_a_forked_action_raises_what_it_raises_here_and_ends_with_the_block(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError), process.forked(lambda: print(1 / 0)):
        pass
    with pytest.raises(KeyError, match="block"), process.forked(lambda: threading.Event().wait(600) and None):
        raise KeyError("block")
    assert not multiprocessing.active_children()
    assert capfd.readouterr().err == ""
