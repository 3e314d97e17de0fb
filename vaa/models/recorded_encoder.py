"""Embeddings that authors stored, read from their own `.npy` files; neither videos nor a GPU are needed for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vaa.data.base import known_names
from vaa.errors import ConfigError, DataError, require_at_least
from vaa.models.base import Encoder, HasRequirements, Requirements
from vaa.types import EmbedQuery, Floats, NoAnswer, file_name, local_path


@dataclass(frozen=True, kw_only=True)
class RecordedEncoder:
    """Looks up frames in `root`/VIDEO`suffix`.npy, an array of shape (rows, d) with one row per `stride` frames.

    CoReVAD's files (`VIDEO_CLIP_features.npy`) have a row for every frame, VERA's (`VIDEO.npy`) one for the window
    around every 16th. The embedding of a segment is the mean of its frames' rows; as in the authors' programs, frames
    after the last row do not count. A video's name may lack its `#` there.

    `text` embeds texts, and has to be the model that made the rows; None where a method embeds no texts.
    """

    root: str
    suffix: str
    stride: int
    text: Encoder | None

    replays_answers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(1, stride=self.stride)

    @property
    def identity(self) -> None:
        """None: reading the file is as fast as reading the cache."""
        return None

    @property
    def requirements(self) -> Requirements:
        """The folder, and what the encoder of texts needs."""
        text: Any = self.text
        if not isinstance(text, HasRequirements):
            return Requirements(name=self.root)
        return replace(text.requirements, name=f"{self.root}, texts by {text.requirements.name}")

    def embed(self, queries: Sequence[EmbedQuery]) -> Iterator[Floats | NoAnswer]:
        """Yield vectors of shape (d,) in order.

        Raises:
            ConfigError: a text is to be embedded, and there is no `text`.
            DataError: the folder is missing, or a file in it has another layout.
        """
        for has_frames, group in groupby(queries, key=lambda query: bool(query.frames)):
            alike = list(group)
            yield from map(self._frames, alike) if has_frames else self._texts(alike)

    def release(self) -> None:
        """Free the encoder of texts."""
        if self.text is not None:
            self.text.release()

    def _frames(self, query: EmbedQuery) -> Floats | NoAnswer:
        folder = local_path(self.root)
        if not folder.is_dir():
            raise DataError(f"encoder.root={self.root}: no such folder.")
        names = [f"{Path(file_name(name)).stem}{self.suffix}.npy" for name in known_names(query.video.id)]
        file = next((file for name in names if (file := folder / name).is_file()), None)
        if file is None:
            return NoAnswer(f"{folder} has no {names[0]}")
        rows = _read(file)
        wanted = np.asarray(query.frames, dtype=np.int64) // self.stride
        wanted = wanted[wanted < len(rows)]
        if not len(wanted):
            return NoAnswer(f"{file.name} has {len(rows)} rows, none for frame {query.frames[0]}")
        mean = rows[wanted].mean(axis=0, dtype=np.float64)
        if not np.isfinite(mean).all():
            return NoAnswer(f"{file.name} has numbers that are not finite, for frame {query.frames[0]} or after it")
        return np.asarray(mean, dtype=np.float32)

    def _texts(self, queries: Sequence[EmbedQuery]) -> Iterator[Floats | NoAnswer]:
        if self.text is None:
            raise ConfigError(
                "encoder.text=null: this method embeds texts too. Choose the encoder that made the recorded rows, or "
                "refinement=retrieval, which compares frames only."
            )
        yield from self.text.embed(queries)


@lru_cache(maxsize=4)
def _read(file: Path) -> Floats:
    """The array of a file, read as needed; pickled objects are refused."""
    try:
        rows = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: not an array of numbers as numpy.save writes it: {error}") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
        shape = getattr(rows, "shape", "several arrays")
        raise DataError(f"{file}: expected numbers of shape (rows, dimensions), not {shape}.")
    return rows
