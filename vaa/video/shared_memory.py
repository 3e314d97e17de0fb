"""Arrays handed from process to process in files that lie in memory, neither pickled nor copied.

New memory costs more than what is written into it: a file whose arrays nobody looks at any more is written anew.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Place = tuple[str, str, tuple[int, ...]]
"""Where an array lies: its file ("" for one without elements), type and shape."""
Places = dict[str, Place]
_FREE = ".free"
"""Ends the name of a file that may be written anew."""

_folders: Sequence[str] = ()
_made: dict[int, tuple[Array, str]] = {}
"""By address what was made in a file, and the file."""


def begin(folders: Sequence[str]) -> None:
    """From now on this process makes arrays for another, in the first of the folders that has room."""
    global _folders
    _folders = folders


def filled(shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[int, Array], None]) -> Array:
    """An array whose rows `fill` makes, given a row's number and where to; once they are made they are only read.

    In a process that makes them for another they go into a file while the processor's cache has them.

    Raises:
        OSError: no folder has room.
    """
    if not _folders or not math.prod(shape):
        found = np.empty(shape, dtype)
        for k, place in enumerate(found):
            fill(k, place)
        return found
    row = np.empty(shape[1:], dtype)

    def rows() -> Iterator[Array]:
        for k in range(shape[0]):
            fill(k, row)
            yield row

    name = _laid(rows)
    found = _array(_map(name), dtype, shape)
    _made[found.ctypes.data] = found, name
    return found


def stored(arrays: Arrays) -> Places:
    """Where another process finds these arrays.

    Raises:
        OSError: no folder has room.
    """
    places = {name: _place(array) for name, array in arrays.items()}
    while _made:  # and did not become one of them
        _give_back(_made.popitem()[1][1], os.getpid())
    return places


def _place(array: Array) -> Place:
    whole = np.ascontiguousarray(array).reshape(array.shape)
    made, name = _made.get(whole.ctypes.data, (None, ""))
    if made is not None and made.nbytes == whole.nbytes:
        del _made[whole.ctypes.data]
    else:
        name = _laid(lambda: [whole]) if whole.size else ""
    return name, whole.dtype.str, whole.shape


def mapped(places: Places) -> dict[str, Array]:
    """The arrays of another process; their files may be written anew when nobody looks at them any more."""
    found = {}
    for key, (name, dtype, shape) in places.items():
        if name:
            held = _map(name)
            weakref.finalize(held, _give_back, name, os.getpid()).atexit = False
            found[key] = _array(held, dtype, shape)
        else:
            found[key] = np.empty(shape, dtype)
    return found


def _laid(rows: Callable[[], Iterable[Array]]) -> str:
    """A file with these rows one after another."""
    for folder in _folders:
        name = _file(folder)
        try:
            with Path(name).open("r+b") as file:
                for row in rows():
                    file.write(row.data)
        except Exception as error:
            Path(name).unlink()
            if not isinstance(error, OSError) or folder == _folders[-1]:  # else full: shared memory is often small
                raise
        else:
            return name
    raise AssertionError("unreachable")


def _file(folder: str) -> str:
    """One that may be written anew, or a new one."""
    for entry in os.scandir(folder):
        if entry.name.endswith(_FREE):
            with suppress(FileNotFoundError):  # another process was sooner
                return str(Path(entry).rename(entry.path.removesuffix(_FREE)))
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    return name


def _map(name: str) -> mmap.mmap:
    with Path(name).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _array(held: mmap.mmap, dtype: DTypeLike, shape: tuple[int, ...]) -> Array:
    return np.frombuffer(held, dtype, math.prod(shape)).reshape(shape)


def _give_back(name: str, looked: int) -> None:
    if os.getpid() == looked:  # not a process that was forked meanwhile
        with suppress(FileNotFoundError):  # its folder is gone
            Path(name).rename(name + _FREE)
