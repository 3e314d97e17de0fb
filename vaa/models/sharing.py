"""Arrays handed from process to process in files that lie in memory, neither pickled nor copied."""

from __future__ import annotations

import math
import mmap
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Places = dict[str, tuple[str, tuple[int, ...], int]]
"""Name -> type, shape and first byte of an array."""


def stored(arrays: Arrays, folders: Sequence[str]) -> tuple[str, Places]:
    """Lay arrays one after another into a file of the first folder that has room; "" where there is nothing to lay."""
    held = [(name, np.ascontiguousarray(array)) for name, array in arrays.items()]
    starts = np.cumsum([0, *(-(-array.nbytes // 64) * 64 for _, array in held)]).tolist()
    places = {name: (a.dtype.str, a.shape, start) for (name, a), start in zip(held, starts, strict=False)}
    if not starts[-1]:
        return "", places
    for folder in folders:
        try:
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                for (_, array), start in zip(held, starts, strict=False):
                    file.seek(start)
                    array.tofile(file)
                file.truncate(starts[-1])
        except OSError:  # full: a container's shared memory is often small
            Path(file.name).unlink()
            if folder == folders[-1]:
                raise
        else:
            return file.name, places
    raise AssertionError("unreachable")


def mapped(name: str, places: Places) -> Arrays:
    """The arrays of a file, which is gone from its folder; its memory goes when nobody looks at them any more."""
    if not name:
        return {key: np.empty(shape, dtype) for key, (dtype, shape, _) in places.items()}
    with open(name, "rb") as file:  # noqa: PTH123, a path would do no better
        held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    Path(name).unlink()
    return {
        key: np.frombuffer(held, dtype, count=math.prod(shape), offset=start).reshape(shape)
        for key, (dtype, shape, start) in places.items()
    }
