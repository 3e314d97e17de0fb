from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import CacheError
from vaa.frame_vectors import FrameVectors

VECTORS = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


@pytest.fixture
def vectors(tmp_path: Path) -> FrameVectors:
    return FrameVectors(tmp_path / "deep" / "v.f32")


def test_vectors_are_read_unchanged_in_any_order_and_the_others_are_missing(vectors: FrameVectors) -> None:
    assert vectors.missing([0, 7]) == [0, 7]
    vectors.write([7, 2, 0], VECTORS[:3])
    again = FrameVectors(vectors.path)
    assert again.missing([9, 7, 1, 0, 2]) == [9, 1]
    assert again.read([0, 7, 0]).tobytes() == VECTORS[[2, 0, 2]].tobytes()
    again.write([1], VECTORS[5:])
    assert vectors.read([0, 1, 2, 7]).tobytes() == VECTORS[[2, 5, 1, 0]].tobytes()


@pytest.mark.parametrize("kept", [0, 3, 4, 40, 4 + 2 * 24, 4 + 3 * 24 - 1])
def test_a_row_that_was_cut_is_missing_and_can_be_written_again(vectors: FrameVectors, kept: int) -> None:
    vectors.write(range(6), VECTORS)
    os.truncate(vectors.path, kept)
    whole = max(0, kept - 4) // 24
    assert vectors.missing(range(6)) == list(range(whole, 6))
    with pytest.raises(CacheError, match=r"v\.f32"):
        vectors.read(range(6))
    vectors.write(range(whole, 6), VECTORS[whole:])
    assert vectors.read(range(6)).tobytes() == VECTORS.tobytes()


@pytest.mark.parametrize("position", range(4, 4 + 2 * 24, 5))
def test_a_row_with_a_changed_byte_is_missing_and_the_others_are_not(vectors: FrameVectors, position: int) -> None:
    vectors.write(range(6), VECTORS)
    with vectors.path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))
    assert vectors.missing(range(6)) == [(position - 4) // 24]


def test_a_damaged_header_loses_the_vectors_and_no_more(vectors: FrameVectors) -> None:
    vectors.write(range(6), VECTORS)
    for header in (b"\0\0\0\0", b"\2\0\0\0", b"\xff\xff\xff\xff"):
        with vectors.path.open("r+b") as file:
            file.write(header)
        assert vectors.missing(range(6)) == list(range(6))
    vectors.write([3], VECTORS[3:4])
    assert vectors.missing(range(6)) == []


def test_writers_at_the_same_time_lose_nothing(vectors: FrameVectors) -> None:
    many = np.random.default_rng(1).normal(size=(400, 5)).astype(np.float32)
    parts = [range(first, 400, 3) for first in range(3)] + [range(100, 300)]
    threads = [threading.Thread(target=vectors.write, args=(part, many[list(part)])) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert vectors.read(range(400)).tobytes() == many.tobytes()


def test_a_folder_that_cannot_be_created_is_a_cache_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"v\.f32"):
        FrameVectors(tmp_path / "file" / "v.f32").write([0], VECTORS[:1])
