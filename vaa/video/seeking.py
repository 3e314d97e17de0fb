"""Random access in a video file by the timestamps of its packets, without decoding frames that are not needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa.video.numbering import VideoTrack

_SKIP_PER_PACKET = {"h264", "hevc", "mpeg2video", "mpeg4"}
"""FFmpeg's decoders that read `skip_frame` before each packet; others read it once."""


class SeekError(Exception):
    """Seeking did not reach a frame."""


@dataclass(eq=False, kw_only=True)
class PacketIndex:
    """Where the frames of an open `file` (PyAV's) with the video `stream` are.

    `times` are the pts of all frames, `keys` those of the key frames, both ascending; `seeks` is what to seek to for
    each key frame. Decoding starts at the last key frame at or before the first frame that is needed. Frames that are
    not needed and that no other frame refers to are skipped, which changes no other frame.
    """

    file: Any
    stream: Any
    times: NDArray[np.int64]
    keys: NDArray[np.int64]
    seeks: NDArray[np.int64]
    _decoded: Iterator[Any] = field(init=False, default_factory=lambda: iter(()))
    _next: int = field(init=False, default=-1)
    _needed: dict[int, int] = field(init=False, default_factory=dict)
    _last: int = field(init=False, default=0)

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Numbers with PyAV's frames, ascending, each once.

        Raises:
            SeekError: a frame has another time, or is damaged; the index cannot be used after that.
        """
        self._needed = {int(self.times[number]): number for number in numbers}
        self._last = max(self._needed)
        self._seek(min(numbers))
        missing, previous = set(self._needed), -math.inf
        for frame in self._decoded:
            if frame.pts is None or not previous < frame.pts <= self._last:
                break
            previous = frame.pts
            if frame.pts in missing and not frame.is_corrupt:
                yield self._needed[frame.pts], frame
                missing.remove(frame.pts)
            if not missing:
                self._next = max(numbers) + 1
                return
        raise SeekError

    def _seek(self, first: int) -> None:
        """Go to the key frame before frame `first`, unless decoding is already between the two."""
        key = int(np.searchsorted(self.keys, self.times[first], side="right")) - 1
        if key < 0:
            raise SeekError
        key_number = int(np.searchsorted(self.times, self.keys[key]))
        if not 0 <= self._next <= first or key_number > self._next:
            self._decoded = self._decode_from(key)

    def _decode_from(self, key: int) -> Iterator[Any]:
        """Frames in decoding order from a key frame on; where seeking misses it, from the start of the file to it."""
        started, time, decoder = False, self.keys[key], self.stream.codec_context
        for target in (self.seeks[key], self.seeks[0]):
            self.file.seek(int(target), stream=self.stream)
            for packet in self.file.demux(self.stream):
                started = started or packet.pts == time
                if started:
                    skippable = packet.pts is not None and packet.pts < self._last and packet.pts not in self._needed
                    decoder.skip_frame = "NONREF" if skippable and decoder.name in _SKIP_PER_PACKET else "DEFAULT"
                    yield from packet.decode()
                elif packet.is_keyframe and packet.pts is not None and packet.pts > time:
                    break
            if started:
                return


def index_packets(track: VideoTrack, times: NDArray[np.int64]) -> PacketIndex:
    """An index of the frames with these times."""
    timed = [(p.pts, p.pts if p.dts is None else p.dts) for p in track.packets if p.keyframe and p.pts is not None]
    keys = [(pts, min(pts, dts)) for pts, dts in timed]
    key_times, seeks = np.array(sorted(keys), dtype=np.int64).reshape(-1, 2).T
    return PacketIndex(file=track.file, stream=track.stream, times=times, keys=key_times, seeks=seeks)
