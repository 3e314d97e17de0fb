"""The frames of one connection that are still needed, as files, so that any process can read them by number."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from threading import Condition

import numpy as np

from vaa.errors import OutputError
from vaa.types import Pixels
from vaa.video.sources import live_frame_file

_MOMENT = 0.2  # seconds
_MEMORY = Path("/dev/shm")  # noqa: S108


class Connection:
    """Frames [first, n); `need` is where the first segment ends that waits for the model.

    Reader and watcher are two threads: what they share is changed under `changed`.
    """

    def __init__(self, fps: float, changed: Condition) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vaa-", dir=_MEMORY if _MEMORY.is_dir() else None))
        self.fps, self.changed = fps, changed
        self.n = self.first = self.need = 0
        self.ended = self.cut = False
        self._seen = 0
        self._arrived: dict[int, float] = {}

    def put(self, pixels: Pixels) -> None:
        """The next frame."""
        try:
            np.save(live_frame_file(self.folder, self.n), pixels, allow_pickle=False)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: a frame cannot be stored ({error.strerror}): lower data.height or data.late."
            ) from error
        with self.changed:
            self._arrived[self.n] = time.monotonic()
            self.n += 1
            self.changed.notify_all()

    def wait(self) -> tuple[int, bool]:
        """How many frames there are once there are more than before, or none will come, or a moment has passed."""
        with self.changed:
            if self.n == self._seen and not self.ended:
                self.changed.wait(_MOMENT)
            self._seen = self.n
            return self.n, self.ended

    def delay(self, frame: int) -> float:
        """Seconds since a frame that is still kept came."""
        return time.monotonic() - self._arrived[frame]

    def forget(self, before: int) -> None:
        """Frames before this one are needed no more."""
        for number in range(self.first, before):
            live_frame_file(self.folder, number).unlink(missing_ok=True)
            self._arrived.pop(number, None)
        self.first = max(self.first, before)

    def close(self) -> None:
        """Forget all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)
