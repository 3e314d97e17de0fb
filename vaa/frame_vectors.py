"""Embeddings of single frames on disk: a file for each encoder and video, with a row for each frame."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaa.errors import CacheError
from vaa.types import Floats

_HEADER = 4  # bytes: d, the length of a vector
_CRC = 4  # bytes


@dataclass(frozen=True)
class FrameVectors:
    """The vectors of a video's frames by one encoder, as float32, in a file that processes may share.

    The file has d as uint32, then for each frame from 0 on its vector (d float32) and the vector's CRC-32, in the byte
    order of the machine. A row that was never written (zeros), was written in part by a process that was killed, or is
    damaged has another CRC: its frame counts as missing. Nothing is locked, since all processes write equal rows.
    """

    path: Path

    def missing(self, frames: Sequence[int]) -> list[int]:
        """The frames without a vector, in order."""
        return _missing(self._rows(), frames)

    def read(self, frames: Sequence[int]) -> Floats:
        """The vectors of frames, (n, d).

        Raises:
            CacheError: one is missing.
        """
        rows = self._rows()
        if _missing(rows, frames):
            raise CacheError(f"{self.path}: was changed while a run used it. Run the same command again.")
        return np.ascontiguousarray(rows[np.asarray(frames), :-1]).view(np.float32)

    def write(self, frames: Sequence[int], vectors: Floats) -> None:
        """Store the vectors (n, d) of frames; once this returns, they survive a crash of the process.

        Raises:
            CacheError: the file cannot be written.
        """
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        size = rows.shape[1] * 4 + _CRC
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                _write(file, np.uint32(rows.shape[1]).tobytes(), 0)
                for frame, row in zip(frames, rows, strict=True):
                    _write(file, row.tobytes() + np.uint32(zlib.crc32(row)).tobytes(), _HEADER + frame * size)
            finally:
                os.close(file)
        except OSError as error:
            raise CacheError(
                f"{self.path}: cannot be written ({error.strerror}). Free disk space and run again: what was computed "
                "is not lost. Or set another file or cache=null."
            ) from error

    def _rows(self) -> NDArray[np.uint32]:
        """The complete rows, (n, d + 1), memory-mapped."""
        try:
            with self.path.open("rb") as file:
                header, size = file.read(_HEADER), os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            header, size = b"", 0
        except OSError as error:
            raise CacheError(
                f"{self.path}: cannot be read ({error.strerror}). Set another file or cache=null."
            ) from error
        columns = int(np.frombuffer(header, np.uint32)[0]) + 1 if len(header) == _HEADER else 1
        n = (size - _HEADER) // (4 * columns)
        if columns < 2 or n < 1:
            return np.zeros((0, 1), np.uint32)
        return np.memmap(self.path, np.uint32, mode="r", offset=_HEADER, shape=(n, columns))


def _missing(rows: NDArray[np.uint32], frames: Sequence[int]) -> list[int]:
    return [frame for frame in frames if frame >= len(rows) or zlib.crc32(rows[frame, :-1].data) != rows[frame, -1]]


def _write(file: int, data: bytes, position: int) -> None:
    if os.pwrite(file, data, position) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
