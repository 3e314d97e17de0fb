"""How many pictures a video file shows, and when, from its packets alone; this uses nothing of vaa."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av


class Shown(NamedTuple):
    """The number of pictures, and their times in seconds, in the order in which they are shown.

    The times are None in a container that has decoding times only (AVI, at times ASF and MXF): `n` is then the largest
    number possible.
    """

    n: int
    times: list[Fraction] | None


def pictures_shown(path: Path) -> Shown:
    """The pictures from the first key frame on that no edit list hides.

    A picture that is stored after the first key frame and shown before it cannot be decoded: what it refers to is not
    in the file. Where decoding times go back at a key frame, another recording begins: its pictures are shown after the
    others.
    """
    with av.open(str(path)) as file:
        stream = file.streams.best("video")
        packets: list[Any] = [packet for packet in file.demux(stream) if packet.size]
        vp8, unit, container = stream.codec.name.startswith("vp8"), stream.time_base, file.format.name
    first = next(i for i, packet in enumerate(packets) if packet.is_keyframe)
    packets = packets[first:]
    recordings: list[list[Any]] = [[]]
    for before, packet in zip([packets[0], *packets], packets, strict=False):
        if packet.is_keyframe and None not in (packet.dts, before.dts) and packet.dts < before.dts:
            recordings.append([])
        hidden_reference = vp8 and not bytes(packet)[0] & 0x10
        leading = len(recordings) == 1 and None not in (packet.pts, packets[0].pts) and packet.pts < packets[0].pts
        if not (packet.is_discard or hidden_reference or leading):
            recordings[-1].append(packet.pts)
    pts = [time for recording in recordings for time in (recording if None in recording else sorted(recording))]
    if container in ("avi", "asf", "mxf") or None in pts:
        return Shown(len(pts), None)
    return Shown(len(pts), [time * unit for time in pts])
