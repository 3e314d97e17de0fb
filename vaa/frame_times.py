"""When the frames of a video are shown whose rate varies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """When the frames of a video whose rate varies are shown, in seconds from its first frame.

    `values`, shape (n,), ascend and belong to the frames from `first` on; earlier ones are no longer known (of a
    stream). A step of more than ten usual (median) ones is a pause: nothing was recorded in between.
    """

    values: NDArray[np.float64]
    first: int = 0

    @cached_property
    def usual_step(self) -> float:
        """The median time from one frame to the next."""
        return round(float(np.median(np.diff(self.values))), 4) if len(self.values) > 1 else 0.0

    @cached_property
    def pauses(self) -> tuple[int, ...]:
        """The frames before which the recording pauses."""
        ends = np.flatnonzero(np.diff(self.values) > _PAUSE_STEPS * self.usual_step)
        return tuple(int(k) + 1 + self.first for k in ends)

    def seconds(self, frame: int) -> float:
        """When a frame is shown; from the last one on, when it ends."""
        k = max(0, frame - self.first)
        return float(self.values[k]) if k < len(self.values) else self.end(frame)

    def end(self, stop: int) -> float:
        """When the frames before `stop` end: as the next one is shown, or a usual step later before a pause."""
        k = min(stop - self.first, len(self.values))
        if k < 1:
            return float(self.values[0])
        paused = k == len(self.values) or k + self.first in self.pauses
        return round(float(self.values[k - 1]) + self.usual_step, 4) if paused else float(self.values[k])

    def frame_at(self, seconds: float) -> int:
        """The first frame that is shown at this time or later, to a millisecond; the number of frames if none is."""
        return self.first + int(np.searchsorted(self.values, seconds - 0.001))


_PAUSE_STEPS = 10
