from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaa.models.base import WaitStats
from vaa.video import prefetch, shared_memory
from vaa.video.prefetch import DecodePool, WaitTimer, WorkerLost


def work(job: int) -> prefetch.Made:
    """Arrays of several kinds, and the process that made them."""
    arrays = {"a": np.arange(job, dtype=np.float32).reshape(job, 1), "b": np.array([[job]], dtype=np.int64)}
    return arrays, os.getpid()


def trouble(job: str) -> prefetch.Made:
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "hang":
        time.sleep(600)
    if job == "raise":
        raise ValueError("a defect")
    return {"a": np.zeros(3)}, job


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_is_made_elsewhere_is_what_is_made_here(workers: int) -> None:
    with DecodePool(work, workers, 60.0) as feeder:
        line = [feeder.put(k) for k in (0, 1, 70_000, 3)]
        for k, put in zip((0, 1, 70_000, 3), line, strict=True):
            made = feeder.take(put)
            assert not isinstance(made, WorkerLost)
            arrays, process = made
            np.testing.assert_array_equal(arrays["a"], work(k)[0]["a"])
            np.testing.assert_array_equal(arrays["b"], [[k]])
            assert arrays["a"].dtype == np.float32
            assert (process == os.getpid()) == (workers == 0)


def test_who_is_at_work_is_known() -> None:
    with DecodePool(trouble, 2, 60.0) as feeder:
        assert feeder.busy() == 0
        done = feeder.put("fine")
        done.result()  # type: ignore[union-attr]
        assert feeder.busy() == 0
        line = [feeder.put("hang") for _ in range(3)]
        assert feeder.busy() == 2
        assert len(line) == 3
        feeder.take(done)
        assert feeder.busy() == 2


def files(root: Path) -> list[str]:
    """Sorted: `.free` for those that may be written anew."""
    return sorted(file.suffix for folder in root.glob("vaa-*") for file in folder.iterdir())


@pytest.mark.parametrize("shared", [True, False])
def test_no_file_is_left_taken_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    root = tmp_path / "shm"
    if shared:
        root.mkdir()
    monkeypatch.setattr(prefetch, "_SHARED", root)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with DecodePool(work, 2, 60.0) as feeder:
        line = [feeder.put(1000) for _ in range(6)]
        for put in line:
            put.result()  # type: ignore[union-attr]
        assert files(root if shared else tmp_path) == [""] * 12  # two arrays each
        made = feeder.take(line[0])
        assert not isinstance(made, WorkerLost)
        assert files(root if shared else tmp_path) == [""] * 12
        feeder.take(line[1])
        assert files(root if shared else tmp_path) == [""] * 10 + [".free"] * 2
    assert not list(tmp_path.rglob("vaa-*"))
    np.testing.assert_array_equal(made[0]["a"], work(1000)[0]["a"])  # still readable


def test_a_file_is_written_anew_when_nobody_looks_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "_SHARED", tmp_path)
    with DecodePool(work, 1, 60.0) as feeder:
        held = []
        for size in (50_000, 90_000, 20_000, 10, 70_000):  # larger and smaller than what was there
            made = feeder.take(feeder.put(size))
            assert not isinstance(made, WorkerLost)
            np.testing.assert_array_equal(made[0]["a"], work(size)[0]["a"])
            held.append(made[0]["a"][-3:])  # a part of it is enough
            made[0]["b"][:] = -1  # whoever took it may write
            del made
        assert files(tmp_path) == [""] * 5 + [".free"]
        for size, kept in zip((50_000, 90_000, 20_000, 10, 70_000), held, strict=True):
            np.testing.assert_array_equal(kept, work(size)[0]["a"][-3:])
        held.clear()
        del kept
        assert files(tmp_path) == [".free"] * 6
        made = feeder.take(feeder.put(3))
        assert not isinstance(made, WorkerLost)
        np.testing.assert_array_equal(made[0]["b"], [[3]])
        assert files(tmp_path) == [""] * 2 + [".free"] * 4


def test_a_process_forked_meanwhile_gives_no_file_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "_SHARED", tmp_path)
    with DecodePool(work, 1, 60.0) as feeder:
        made = [feeder.take(feeder.put(1000))]
        process = multiprocessing.get_context("fork").Process(target=made.clear)
        process.start()
        process.join()
        assert process.exitcode == 0
        assert files(tmp_path) == ["", ""]
        made.clear()
        assert files(tmp_path) == [".free", ".free"]


def rows(job: tuple[int, str]) -> prefetch.Made:
    """An array made row by row, and what becomes of it."""
    count, end = job
    found = shared_memory.filled((count, 2, 3), np.int32, lambda k, row: row.fill(k))
    if end == "part":
        return {"a": found[:1], "b": found[1:]}, None
    if end == "other":
        return {"a": found.astype(np.float16)}, None
    return {"a": found, "b": np.arange(3)[::-1]}, None


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("end", ["as it is", "part", "other"])
def test_an_array_made_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, count: int, end: str
) -> None:
    monkeypatch.setattr(prefetch, "_SHARED", tmp_path)
    used = {"as it is": [1, 2, 2], "part": [0, 1, 3], "other": [0, 2, 2]}[end][(0, 1, 5).index(count)]
    with DecodePool(rows, workers, 60.0) as feeder:
        for _ in range(2):
            made = feeder.take(feeder.put((count, end)))
            assert not isinstance(made, WorkerLost)
            wanted = np.broadcast_to(np.arange(count)[:, None, None], (count, 2, 3))
            if end == "part":
                np.testing.assert_array_equal(made[0]["a"], wanted[:1])
                np.testing.assert_array_equal(made[0]["b"], wanted[1:])
            else:
                np.testing.assert_array_equal(made[0]["a"], wanted)
            assert made[0]["a"].dtype == (np.float16 if end == "other" else np.int32)
            del made
            assert files(tmp_path) == [".free"] * workers * used  # the second time no new one


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [f"vaa-{gone.pid}-x", f"vaa-{os.getpid()}-x", "vaa-other", "vaa-1a-x"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    monkeypatch.setattr(prefetch, "_SHARED", tmp_path / "none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with DecodePool(work, 1, 60.0):
        pass
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(names[1:])


def breaks_off(job: int) -> prefetch.Made:
    """The third row of an array cannot be made."""

    def fill(k: int, row: Any) -> None:
        if k == 2:
            raise ValueError("a defect")

    return {"a": shared_memory.filled((job, 4), np.float32, fill)}, None


@pytest.mark.parametrize("workers", [0, 1])
def test_an_array_that_is_not_finished_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(prefetch, "_SHARED", tmp_path)
    with DecodePool(breaks_off, workers, 60.0) as feeder:
        with pytest.raises(ValueError, match="a defect"):
            feeder.take(feeder.put(3))
        assert files(tmp_path) == []


def fill_up(job: int) -> prefetch.Made:
    """Of a file in shared memory a thousand bytes can be written, as if it were full then."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return rows((job, "as it is"))


def test_where_there_is_no_room_at_all_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "_SHARED", tmp_path)
    with DecodePool(fill_up, 1, 60.0) as feeder, pytest.raises(OSError, match="File too large"):
        feeder.take(feeder.put(1000))


def test_where_shared_memory_is_full_the_disk_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shared_memory._file
    (tmp_path / "shm").mkdir()

    def crowded(folder: str) -> str:
        """Shared memory whose files open, and take nothing."""
        name = real(folder)
        if "shm" in folder:
            Path(name).unlink()
            Path(name).symlink_to("/dev/full")
        return name

    monkeypatch.setattr(prefetch, "_SHARED", tmp_path / "shm")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shared_memory, "_file", crowded)
    with DecodePool(rows, 1, 60.0) as feeder:
        made = feeder.take(feeder.put((1000, "as it is")))
        assert not isinstance(made, WorkerLost)
        assert not files(tmp_path / "shm")
        assert files(tmp_path) == ["", ""]
    np.testing.assert_array_equal(made[0]["a"], rows((1000, "as it is"))[0]["a"])


def test_a_killed_process_loses_its_own_work_only() -> None:
    with DecodePool(trouble, 1, 60.0) as feeder:
        line = [feeder.put(job) for job in ("fine", "die", "again")]
        found: list[Any] = []
        for put in line:
            made = feeder.take(put)
            found.append(made if isinstance(made, WorkerLost) else made[1])
    assert (found[0], found[2]) == ("fine", "again")
    assert isinstance(found[1], WorkerLost)


def test_processes_killed_while_idle_cost_nothing() -> None:
    with DecodePool(work, 2, 60.0) as feeder:
        for size in (1, 2, 3):
            made = feeder.take(feeder.put(size))
            assert not isinstance(made, WorkerLost)
            assert len(made[0]["a"]) == size
            for process in multiprocessing.active_children():
                os.kill(int(process.pid or 0), signal.SIGKILL)
                process.join()


def test_work_that_hangs_is_stopped_after_a_stated_time() -> None:
    with DecodePool(trouble, 1, 0.5) as feeder:
        line = [feeder.put(job) for job in ("hang", "fine")]
        assert feeder.take(line[0]) == WorkerLost("took longer than 0 s and was stopped")
        assert not isinstance(feeder.take(line[1]), WorkerLost)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_defect_in_the_work_is_raised_where_it_is_taken(workers: int) -> None:
    with DecodePool(trouble, workers, 60.0) as feeder, pytest.raises(ValueError, match="a defect"):
        feeder.take(feeder.put("raise"))


def test_waiting_is_told_as_a_share() -> None:
    watch = WaitTimer(began=time.perf_counter() - 10, waited=5.0)
    told = watch.told(7, "questions")
    assert str(told) == "7 questions in 10.0 s, 50% of it waiting for pixels"
    assert str(WaitStats.together([told, WaitStats(3, "questions", 10.0, 1.0)])).startswith(
        "10 questions in 20.0 s, 30%"
    )


def test_there_is_a_process_to_spare() -> None:
    assert 1 <= prefetch.spare() <= 8
