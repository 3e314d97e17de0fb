"""Frames of a file by the times of its packets: from the key frame before them, without those that nobody needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SKIPPING = {"h264", "hevc", "mpeg2video", "mpeg4"}
"""Decoders that can be told before each packet whether to leave it out; others heed only the first word."""


class Packet(NamedTuple):
    """What a file says of a frame: when it is shown and when decoded (ticks of the stream), and what it is."""

    shown: int | None
    decoded: int | None
    key: bool
    hidden: bool
    """By an edit list: it is decoded, but is no frame of the video."""


class SeekError(Exception):
    """The times do not lead to the frames that were asked for."""


@dataclass(eq=False)
class PacketIndex:
    """An open `file` and its video `stream` (PyAV's), whose frames are shown at `times`, ascending.

    `keys` are the times of key frames, ascending, `seeks` what to seek to for each. Decoding begins at the last key
    frame that is shown no later than what is asked for. A frame that was not asked for and that no other is predicted
    from is not decoded: that changes no other frame.
    """

    file: Any
    stream: Any
    times: NDArray[np.int64]
    keys: NDArray[np.int64]
    seeks: NDArray[np.int64]
    _coming: Iterator[Any] = field(init=False, default_factory=lambda: iter(()))
    _next: int = field(init=False, default=-1)
    _wanted: dict[int, int] = field(init=False, default_factory=dict)
    _last: int = field(init=False, default=0)

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Numbers with PyAV's frames, ascending, each once.

        Raises:
            AstrayError: a frame does not come at its time, or not whole; nothing may be asked for again.
        """
        self._wanted = {int(self.times[number]): number for number in numbers}
        self._last = max(self._wanted)
        self._begin(min(numbers))
        left, before = set(self._wanted), -math.inf
        for frame in self._coming:
            if frame.pts is None or not before < frame.pts <= self._last:
                break
            before = frame.pts
            if frame.pts in left and not frame.is_corrupt:
                yield self._wanted[frame.pts], frame
                left.remove(frame.pts)
            if not left:
                self._next = max(numbers) + 1
                return
        raise SeekError

    def _begin(self, first: int) -> None:
        """Go to the key frame before frame `first`, unless the next to come lies between them."""
        key = int(np.searchsorted(self.keys, self.times[first], side="right")) - 1
        if key < 0:
            raise SeekError
        there = int(np.searchsorted(self.times, self.keys[key]))
        if not 0 <= self._next <= first or there > self._next:
            self._coming = self._from(key)

    def _from(self, key: int) -> Iterator[Any]:
        """Frames as they come from the key frame of this place on; where seeking misses it, it is looked for."""
        begun, time, decoder = False, self.keys[key], self.stream.codec_context
        for place in (self.seeks[key], self.seeks[0]):
            self.file.seek(int(place), stream=self.stream)
            for packet in self.file.demux(self.stream):
                begun = begun or packet.pts == time
                if begun:
                    needless = packet.pts is not None and packet.pts < self._last and packet.pts not in self._wanted
                    decoder.skip_frame = "NONREF" if needless and decoder.name in _SKIPPING else "DEFAULT"
                    yield from packet.decode()
                elif packet.is_keyframe and packet.pts is not None and packet.pts > time:
                    break
            if begun:
                return


def seeking(file: Any, stream: Any, packets: Sequence[Packet]) -> PacketIndex | None:
    """The frames of a file whose `packets` these are, None where times do not tell the frames apart.

    In an AVI with B-frames times are those of decoding: they ascend though frames do not.
    """
    timed = [(p.shown, p.shown if p.decoded is None else p.decoded, p) for p in packets if p.shown is not None]
    times = np.unique([shown for shown, _, packet in timed if not packet.hidden])
    in_order = all(one[0] < other[0] for one, other in pairwise(timed))
    if len(times) < sum(not packet.hidden for packet in packets) or (in_order and stream.codec_context.has_b_frames):
        return None
    keys = np.array(sorted((shown, min(shown, decoded)) for shown, decoded, packet in timed if packet.key))
    return PacketIndex(file, stream, times, *keys.reshape(-1, 2).astype(np.int64).T)
