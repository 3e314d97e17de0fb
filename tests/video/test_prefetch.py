from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from vaa.models.base import WaitStats
from vaa.types import EmbedQuery, Pixels, Video
from vaa.video import prefetch, shared_memory, sources
from vaa.video.prefetch import DecodePool, FramePrefetcher, Prepared, WorkerLost


def work(job: int) -> Prepared:
    """Arrays of several types, and the id of the process that result them."""
    arrays = {"a": np.arange(job, dtype=np.float32).reshape(job, 1), "b": np.array([[job]], dtype=np.int64)}
    return Prepared(arrays, os.getpid())


def fail(job: str) -> Prepared:
    if job == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "hang":
        time.sleep(600)
    if job == "raise":
        raise ValueError("a defect")
    return Prepared({"a": np.zeros(3)}, job)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_other_processes_return_the_same_arrays(workers: int) -> None:
    with DecodePool(work=work, workers=workers, timeout=60.0) as pool:
        handles = [pool.submit(k) for k in (0, 1, 70_000, 3)]
        for k, handle in zip((0, 1, 70_000, 3), handles, strict=True):
            result = pool.result(handle)
            assert not isinstance(result, WorkerLost)
            arrays, process = result.arrays, result.extra
            np.testing.assert_array_equal(arrays["a"], work(k).arrays["a"])
            np.testing.assert_array_equal(arrays["b"], [[k]])
            assert arrays["a"].dtype == np.float32
            assert (process == os.getpid()) == (workers == 0)


def test_busy_counts_the_working_processes() -> None:
    with DecodePool(work=fail, workers=2, timeout=60.0) as pool:
        assert pool.busy() == 0
        done = pool.submit("fine")
        done.result()  # type: ignore[union-attr]
        assert pool.busy() == 0
        handles = [pool.submit("hang") for _ in range(3)]
        assert pool.busy() == 2
        assert len(handles) == 3
        pool.result(done)
        assert pool.busy() == 2


def files(root: Path) -> list[str]:
    """Suffixes of the files, sorted: `.free` for those that may be overwritten."""
    return sorted(file.suffix for folder in root.glob("vaa-*") for file in folder.iterdir())


@pytest.mark.parametrize("shared", [True, False])
def test_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    root = tmp_path / "shm"
    if shared:
        root.mkdir()
    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", root)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with DecodePool(work=work, workers=2, timeout=60.0) as pool:
        handles = [pool.submit(1000) for _ in range(6)]
        for handle in handles:
            handle.result()  # type: ignore[union-attr]
        assert files(root if shared else tmp_path) == [""] * 12  # two arrays each
        result = pool.result(handles[0])
        assert not isinstance(result, WorkerLost)
        assert files(root if shared else tmp_path) == [""] * 12
        pool.result(handles[1])
        assert files(root if shared else tmp_path) == [""] * 10 + [".free"] * 2
    assert not list(tmp_path.rglob("vaa-*"))
    np.testing.assert_array_equal(result.arrays["a"], work(1000).arrays["a"])  # still readable


def test_a_file_is_overwritten_when_its_array_is_no_longer_referenced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", tmp_path)
    with DecodePool(work=work, workers=1, timeout=60.0) as pool:
        views = []
        for size in (50_000, 90_000, 20_000, 10, 70_000):  # larger and smaller than what was there
            result = pool.result(pool.submit(size))
            assert not isinstance(result, WorkerLost)
            np.testing.assert_array_equal(result.arrays["a"], work(size).arrays["a"])
            views.append(result.arrays["a"][-3:])  # a view is enough to keep the file
            result.arrays["b"][:] = -1  # the caller may write to it
            del result
        assert files(tmp_path) == [""] * 5 + [".free"]
        for size, view in zip((50_000, 90_000, 20_000, 10, 70_000), views, strict=True):
            np.testing.assert_array_equal(view, work(size).arrays["a"][-3:])
        views.clear()
        del view
        assert files(tmp_path) == [".free"] * 6
        result = pool.result(pool.submit(3))
        assert not isinstance(result, WorkerLost)
        np.testing.assert_array_equal(result.arrays["b"], [[3]])
        assert files(tmp_path) == [""] * 2 + [".free"] * 4


def test_a_child_forked_later_releases_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", tmp_path)
    with DecodePool(work=work, workers=1, timeout=60.0) as pool:
        result = [pool.result(pool.submit(1000))]
        process = multiprocessing.get_context("fork").Process(target=result.clear)
        process.start()
        process.join()
        assert process.exitcode == 0
        assert files(tmp_path) == ["", ""]
        result.clear()
        assert files(tmp_path) == [".free", ".free"]


def rows(job: tuple[int, str]) -> Prepared:
    """An array built row by row, returned whole, in parts or converted."""
    count, end = job
    array = shared_memory.build_array((count, 2, 3), np.int32, lambda k, row: row.fill(k))
    if end == "part":
        return Prepared({"a": array[:1], "b": array[1:]})
    if end == "other":
        return Prepared({"a": array.astype(np.float16)})
    return Prepared({"a": array, "b": np.arange(3)[::-1]})


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("end", ["as it is", "part", "other"])
def test_arrays_built_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, count: int, end: str
) -> None:
    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", tmp_path)
    used = {"as it is": [1, 2, 2], "part": [0, 1, 3], "other": [0, 2, 2]}[end][(0, 1, 5).index(count)]
    with DecodePool(work=rows, workers=workers, timeout=60.0) as pool:
        for _ in range(2):
            result = pool.result(pool.submit((count, end)))
            assert not isinstance(result, WorkerLost)
            wanted = np.broadcast_to(np.arange(count)[:, None, None], (count, 2, 3))
            if end == "part":
                np.testing.assert_array_equal(result.arrays["a"], wanted[:1])
                np.testing.assert_array_equal(result.arrays["b"], wanted[1:])
            else:
                np.testing.assert_array_equal(result.arrays["a"], wanted)
            assert result.arrays["a"].dtype == (np.float16 if end == "other" else np.int32)
            del result
            assert files(tmp_path) == [".free"] * workers * used  # the second time no new one


def test_folders_of_killed_runs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [f"vaa-{gone.pid}-x", f"vaa-{os.getpid()}-x", "vaa-other", "vaa-1a-x"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", tmp_path / "none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with DecodePool(work=work, workers=1, timeout=60.0):
        pass
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(names[1:])


def fail_at_row_two(job: int) -> Prepared:
    """Row 2 of an array raises an error."""

    def fill(k: int, row: Any) -> None:
        if k == 2:
            raise ValueError("a defect")

    return Prepared({"a": shared_memory.build_array((job, 4), np.float32, fill)})


@pytest.mark.parametrize("workers", [0, 1])
def test_an_array_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", tmp_path)
    with DecodePool(work=fail_at_row_two, workers=workers, timeout=60.0) as pool:
        with pytest.raises(ValueError, match="a defect"):
            pool.result(pool.submit(3))
        assert files(tmp_path) == []


def fill_up(job: int) -> Prepared:
    """Limit files to a thousand bytes, as if the disk were full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return rows((job, "as it is"))


def test_without_any_space_an_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", tmp_path)
    with DecodePool(work=fill_up, workers=1, timeout=60.0) as pool, pytest.raises(OSError, match="File too large"):
        pool.result(pool.submit(1000))


def test_the_disk_is_used_where_shared_memory_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shared_memory._open_file
    (tmp_path / "shm").mkdir()

    def open_full_file(folder: str) -> str:
        """A file in shared memory that can be opened but not written."""
        name = real(folder)
        if "shm" in folder:
            Path(name).unlink()
            Path(name).symlink_to("/dev/full")
        return name

    monkeypatch.setattr(prefetch, "_SHARED_MEMORY", tmp_path / "shm")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shared_memory, "_open_file", open_full_file)
    with DecodePool(work=rows, workers=1, timeout=60.0) as pool:
        result = pool.result(pool.submit((1000, "as it is")))
        assert not isinstance(result, WorkerLost)
        assert not files(tmp_path / "shm")
        assert files(tmp_path) == ["", ""]
    np.testing.assert_array_equal(result.arrays["a"], rows((1000, "as it is")).arrays["a"])


def test_a_killed_process_loses_only_its_own_job() -> None:
    with DecodePool(work=fail, workers=1, timeout=60.0) as pool:
        handles = [pool.submit(job) for job in ("fine", "kill", "again")]
        results: list[Any] = []
        for handle in handles:
            result = pool.result(handle)
            results.append(result if isinstance(result, WorkerLost) else result.extra)
    assert (results[0], results[2]) == ("fine", "again")
    assert isinstance(results[1], WorkerLost)


def wait_until_idle(pid: int) -> None:
    """Wait until a process sleeps for a while: just after a result came it may still hold the lock of the channel.

    It has not run in between if its number of context switches is the same.
    """
    end, process, before = time.monotonic() + 60.0, psutil.Process(pid), None
    while True:
        switches = process.num_ctx_switches()
        if process.status() == psutil.STATUS_SLEEPING and switches == before:
            return
        assert time.monotonic() < end
        before = switches
        time.sleep(0.1)


def test_processes_killed_while_idle_are_replaced() -> None:
    with DecodePool(work=work, workers=2, timeout=60.0) as pool:
        for size in (1, 2, 3):
            result = pool.result(pool.submit(size))
            assert not isinstance(result, WorkerLost)
            assert len(result.arrays["a"]) == size
            for process in multiprocessing.active_children():
                wait_until_idle(int(process.pid or 0))
                os.kill(int(process.pid or 0), signal.SIGKILL)
                process.join()


def test_a_job_that_hangs_is_stopped_after_the_timeout() -> None:
    with DecodePool(work=fail, workers=1, timeout=2.0) as pool:
        handles = [pool.submit(job) for job in ("hang", "fine")]
        assert pool.result(handles[0]) == WorkerLost(sources.timeout_reason(2.0))
        assert not isinstance(pool.result(handles[1]), WorkerLost)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_job_is_raised_where_its_result_is_taken(workers: int) -> None:
    with DecodePool(work=fail, workers=workers, timeout=60.0) as pool, pytest.raises(ValueError, match="a defect"):
        pool.result(pool.submit("raise"))


def test_waiting_is_logged_as_a_share() -> None:
    stats = WaitStats(7, "queries", 10.0, 5.0)
    assert str(stats) == "7 queries in 10.0 s, 50% of it waiting for frames"
    assert str(WaitStats.total([stats, WaitStats(3, "queries", 10.0, 1.0)])).startswith("10 queries in 20.0 s, 30%")


def mean_of_frames(queries: Sequence[EmbedQuery], frames: Sequence[Sequence[Pixels]]) -> Prepared:
    """The mean of each frame, and the frame numbers."""
    if any(query.text == "kill" for query in queries):
        os.kill(os.getpid(), signal.SIGKILL)
    means = [float(frame.mean()) for own in frames for frame in own]
    return Prepared({"mean": np.array(means)}, [query.frames for query in queries])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_prepared_in_order_and_errors_replace_frames(clip: Path, tmp_path: Path, workers: int) -> None:
    video, missing = Video("clip", clip, 25, 10.0), Video("missing", tmp_path / "missing.mp4", 25, 10.0)
    killing = Video("killing", tmp_path / "killing.mp4", 25, 10.0)
    killing.path.symlink_to(clip)
    batches = [
        [EmbedQuery(video=video, at=0, frames=(0, 9)), EmbedQuery(video=missing, at=0, frames=(3,))],
        [EmbedQuery(video=missing, at=0, frames=(1,))],
        [EmbedQuery(video=video, at=0, frames=()), EmbedQuery(video=video, at=0, frames=(24,))],
    ]
    if workers:
        batches.append([EmbedQuery(video=killing, at=0, frames=(5,), text="kill"), batches[0][0], batches[1][0]])
    with FramePrefetcher[EmbedQuery](
        prepare=mean_of_frames, decoder="decord", workers=workers, readahead=not workers
    ) as prefetcher:
        results = list(prefetcher.stream(batches))
        again = prefetcher.get(batches[0])
    frames = sources.frames(video, [0, 9, 24], "decord")
    means = [frame.mean() for frame in frames]
    assert [result.queries for result in results] == batches
    assert [list(result.errors) for result in results][:3] == [[1], [0], []]
    assert "missing.mp4" in results[0].errors[1]
    for result in (results[0], again):
        np.testing.assert_allclose(result.prepared.arrays["mean"], means[:2])
    assert results[0].prepared.extra == [(0, 9)]
    assert results[0].usable == batches[0][:1]
    assert not results[1].prepared.arrays
    np.testing.assert_allclose(results[2].prepared.arrays["mean"], means[2:])
    if workers:
        assert list(results[3].errors) == [0, 2]
        assert "killing.mp4" in results[3].errors[0]
        np.testing.assert_allclose(results[3].prepared.arrays["mean"], means[:2])
    assert prefetcher.waited > 0


def test_there_is_at_least_one_worker_by_default() -> None:
    assert 1 <= prefetch.default_workers() <= 8
