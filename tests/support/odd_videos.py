"""Small video files in which each picture has a bar code, in many codecs and containers, edited in many ways.

Which pictures a player shows is known from how a file is made; tests/support/oracle.py finds it from the packets.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.stream import Disposition

from vaa.types import Pixels

N = 40
RATE = 25
SIZE = (128, 96)
BITS = 8
GOP = 12
NOT_A_CODE = -1
ANY = -2
"""Among the codes that a file shows: a picture that players show though what it refers to is not in the file."""
TICK = Fraction(1, 90000)

CODECS: dict[str, dict[str, str]] = {  # the encoder is what comes before the first space
    "libx264": {"bf": "3", "x264-params": "log-level=none:repeat-headers=1:scenecut=0:b-adapt=0:open-gop=0"},
    "libx264 open": {
        "bf": "3",
        "x264-params": "log-level=none:repeat-headers=1:scenecut=0:b-adapt=0:open-gop=1:b-pyramid=normal",
    },
    "libx264 refresh": {"bf": "0", "x264-params": "log-level=none:repeat-headers=1:intra-refresh=1"},
    "libx264 fields": {"bf": "2", "x264-params": "log-level=none:repeat-headers=1:scenecut=0:b-adapt=0:interlaced=1"},
    "libx265": {"x265-params": "log-level=none:repeat-headers=1:bframes=3:scenecut=0:b-adapt=0:open-gop=1"},
    "libvpx": {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8", "b": "2000000"},
    "libvpx-vp9": {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8", "b": "2000000"},
    "libsvtav1": {"preset": "8", "crf": "10"},
    "mpeg4": {"bf": "2"},
    "mpeg4 plain": {"bf": "0"},
    "mpeg2video": {"bf": "2"},
    "mpeg1video": {"bf": "2"},
    "h263": {},
    "flv": {},
    "wmv2": {},
    "msmpeg4": {},
    "mjpeg": {},
    "ffv1": {},
    "prores_ks": {},
    "png": {},
}
PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "png": "rgb24"}
INTRA = {"mjpeg", "prores_ks", "png"}
CONTAINERS = {
    "mp4": "mp4", "mov": "mov", "3gp": "3gp", "mkv": "matroska", "webm": "webm", "avi": "avi", "ts": "mpegts",
    "mpg": "mpeg", "vob": "vob", "flv": "flv", "wmv": "asf", "nut": "nut", "mxf": "mxf", "m2ts": "mpegts",
}  # fmt: skip
BOXES = {"mp4", "mov", "3gp"}
"""Containers with edit lists and display matrices."""
JOINABLE = {"ts", "m2ts", "mpg", "vob", "flv"}
"""Containers of which two files, one after the other, are a file."""

ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[[Pixels], Pixels]]] = {
    # name -> a, b, c, d of the display matrix (x' = a x + c y, y' = b x + d y), and what undoes it
    "rotated 90": ((0, 1, -1, 0), lambda p: np.rot90(p, 1, axes=(1, 2))),
    "rotated 180": ((-1, 0, 0, -1), lambda p: p[:, ::-1, ::-1]),
    "rotated 270": ((0, -1, 1, 0), lambda p: np.rot90(p, -1, axes=(1, 2))),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, :, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda p: p[:, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(1, 2)),
    "antitransposed": ((0, -1, -1, 0), lambda p: p[:, ::-1, ::-1].swapaxes(1, 2)),
}


def picture(code: int, size: tuple[int, int] = SIZE) -> Pixels:
    """Eight bars for the code in binary, inverted below; the upper quarter is grey, white at the left."""
    width, height = size
    frame = np.empty((height, width, 3), dtype=np.uint8)
    frame[: height // 4] = 120
    frame[: height // 4, : width // 2] = 240
    for bit in range(BITS):
        bar = slice(bit * width // BITS, (bit + 1) * width // BITS)
        frame[height // 4 : height * 5 // 8, bar] = 220 if code >> bit & 1 else 30
        frame[height * 5 // 8 :, bar] = 30 if code >> bit & 1 else 220
    return frame


def codes(frames: Pixels) -> list[int]:
    """The code of each frame, NOT_A_CODE for one that is not as `picture` draws it, upright."""
    return [_code(frame) for frame in frames]


def _code(frame: Any) -> int:
    height, width = frame.shape[:2]
    columns = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    top, upper, lower = (frame[height * sixteenth // 16, columns].mean(axis=-1) for sixteenth in (2, 7, 13))
    bits = upper > 125
    expected = np.where(bits, 220, 30)
    marker = np.repeat([240, 120], BITS // 2)
    if max(abs(upper - expected).max(), abs(lower - (250 - expected)).max(), abs(top - marker).max()) > 45:
        return NOT_A_CODE
    return sum(int(bit) << i for i, bit in enumerate(bits))


def agree(shown: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether these are the codes expected."""
    return len(shown) == len(expected) and all(e in (ANY, s) for s, e in zip(shown, expected, strict=True))


class Coded(NamedTuple):
    """One packet of an encoder: its picture's code, and its times in frames."""

    code: int
    data: bytes
    pts: Fraction
    dts: Fraction
    keyframe: bool

    def later(self, frames: Fraction | int) -> Coded:
        return self._replace(pts=self.pts + frames, dts=self.dts + frames)


@dataclass(frozen=True)
class Encoded:
    """The output of an encoder, as a nut file (for its headers) and as packets."""

    file: bytes
    packets: tuple[Coded, ...]


@cache
def encode(
    codec: str, first: int = 0, n: int = N, size: tuple[int, int] = SIZE, times: tuple[int, ...] | None = None
) -> Encoded:
    """Pictures with the codes `first` and up, at the given times (frames; default: 0, 1, ...)."""
    times, file = times or tuple(range(n)), io.BytesIO()
    encoder = codec.split()[0]
    with av.open(file, "w", format="mov" if encoder == "prores_ks" else "nut") as container:
        options = CODECS[codec] | ({} if encoder in INTRA else {"g": str(GOP)})
        stream = container.add_stream(encoder, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, PIXELS.get(encoder, "yuv420p")
        stream.codec_context.thread_count = 1
        stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
        if not {"b", "crf"} & CODECS[codec].keys():
            stream.codec_context.bit_rate = 2_000_000
        packets = []
        for k in range(n):
            frame = av.VideoFrame.from_ndarray(picture(first + k, size), format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = times[k], Fraction(1, RATE)
            packets += stream.encode(frame)
        coded = []
        for packet in [*packets, *stream.encode()]:
            ticks = packet.time_base * RATE
            # As other codecs have it: not each container has a place for headers.
            header = stream.codec_context.extradata if encoder == "mpeg4" and packet.is_keyframe else b""
            coded.append(Coded(-1, header + bytes(packet), packet.pts * ticks, packet.dts * ticks, packet.is_keyframe))
            container.mux(packet)
    shown = [packet for packet in coded if not _hidden(encoder, packet)]
    rank = {pts: first + k for k, pts in enumerate(sorted(packet.pts for packet in shown))}
    assert len(rank) == n == len(shown), (codec, len(rank), len(shown))
    return Encoded(file.getvalue(), tuple(p if _hidden(encoder, p) else p._replace(code=rank[p.pts]) for p in coded))


def _hidden(encoder: str, packet: Coded) -> bool:
    """A packet of VP8 that updates a reference picture and shows nothing."""
    return encoder == "libvpx" and not packet.data[0] & 0x10


class Track(NamedTuple):
    """Packets to write, and the file whose headers they need."""

    header: bytes
    packets: Sequence[Coded]
    disposition: str = ""


def mux(path: Path, *tracks: Track) -> Path:
    """Write a file of these tracks.

    Raises:
        av.FFmpegError, ValueError: the container does not allow it.
    """
    sources = [av.open(io.BytesIO(track.header)) for track in tracks]
    with av.open(str(path), "w", format=CONTAINERS[path.suffix[1:]]) as container:
        streams = []
        for source, track in zip(sources, tracks, strict=True):
            template = source.streams.video[0]
            opaque = template.codec.name == "libdav1d"  # a decoder only: PyAV looks for an encoder of this name
            stream = container.add_stream_from_template(template, opaque=opaque)
            stream.time_base = TICK
            if len(tracks) > 1 or track.disposition:
                stream.disposition = Disposition[track.disposition] if track.disposition else Disposition(0)
            streams.append(stream)
        pairs = [(s, p) for s, track in zip(streams, tracks, strict=True) for p in track.packets]
        for stream, coded in sorted(pairs, key=lambda pair: pair[1].dts):
            packet = av.Packet(coded.data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, TICK, coded.keyframe
            packet.pts, packet.dts = (round(time / RATE / TICK) for time in (coded.pts, coded.dts))
            packet.duration = round(1 / TICK) // RATE
            container.mux(packet)
    with av.open(str(path)) as written:
        names = [source.streams.video[0].codec.name for source in sources]
        if sorted(s.codec_context.codec.name for s in written.streams.video if s.codec_context) != sorted(names):
            raise ValueError(f"{path.suffix} cannot name {names}")
    return path


@dataclass(frozen=True)
class OddVideo:
    """A file and the codes of the pictures that a player shows; `upright` undoes its display matrix."""

    path: Path
    shown: list[int]
    upright: Callable[[Pixels], Pixels] = lambda frames: frames


def plain(path: Path, codec: str) -> OddVideo:
    return _written(path, codec, encode(codec).packets)


def trim_head(path: Path, codec: str) -> OddVideo:
    """By an edit list that starts within a group of pictures; elsewhere the packets from the third key frame on."""
    if path.suffix[1:] in BOXES:
        plain(path, codec)
        path.write_bytes(trimmed(path.read_bytes(), first=17))
        return OddVideo(path, list(range(17, N)))
    return _written(path, codec, _from_key(encode(codec).packets, 2))


def trim_tail(path: Path, codec: str) -> OddVideo:
    """By an edit list that ends within a group of pictures; elsewhere all but the last 5 packets."""
    if path.suffix[1:] in BOXES:
        plain(path, codec)
        path.write_bytes(trimmed(path.read_bytes(), n=17))
        return OddVideo(path, list(range(17)))
    return _written(path, codec, encode(codec).packets[:-5])


def trim_both(path: Path, codec: str) -> OddVideo:
    """By an edit list; elsewhere packets from the second key frame on, without the last."""
    if path.suffix[1:] in BOXES:
        plain(path, codec)
        path.write_bytes(trimmed(path.read_bytes(), first=14, n=9))
        return OddVideo(path, list(range(14, 23)))
    return _written(path, codec, _from_key(encode(codec).packets, 1)[:-1])


def cut_middle(path: Path, codec: str) -> OddVideo:
    """By an edit list of two parts."""
    if path.suffix[1:] not in BOXES:
        raise ValueError(f"{path.suffix} has no edit list")
    plain(path, codec)
    path.write_bytes(with_two_edits(path.read_bytes(), 10, 26))
    return OddVideo(path, [*range(10), *range(26, N)])


def concatenate(path: Path, codec: str) -> OddVideo:
    """Two recordings, the second with later times."""
    second = [packet.later(N + 50) for packet in encode(codec, first=N).packets]
    return _written(path, codec, [*encode(codec).packets, *second])


def concatenate_mid_group(path: Path, codec: str) -> OddVideo:
    """The second one begins at a key frame before which it shows pictures that refer to some not in the file."""
    second = _from_key(encode(codec, first=N).packets, 1)
    start = second[0].pts
    shown = [*range(N), *(ANY for packet in second if packet.pts < start), *_shown(second)]
    track = Track(encode(codec).file, [*encode(codec).packets, *(p.later(N + 50 - start) for p in second)])
    return OddVideo(mux(path, track), shown)


def clock_back(path: Path, codec: str) -> OddVideo:
    """Two files one after the other; the first starts 600 s later by its own clock."""
    return _joined(path, codec, 600 * RATE, 0)


def clock_restarts(path: Path, codec: str) -> OddVideo:
    """Two files one after the other, both with the same times."""
    return _joined(path, codec, 0, 0)


def clock_overlaps(path: Path, codec: str) -> OddVideo:
    """Two files one after the other; the second starts half a frame before the middle of the first."""
    return _joined(path, codec, N, N + N // 2 - Fraction(1, 2))


def clock_ahead(path: Path, codec: str) -> OddVideo:
    """Two files one after the other; the second starts 600 s later."""
    return _joined(path, codec, 0, 600 * RATE)


def cut_before_key(path: Path, codec: str) -> OddVideo:
    """The first packets refer to pictures that are not in the file."""
    return _written(path, codec, encode(codec).packets[5:])


def change_size(path: Path, codec: str) -> OddVideo:
    """The second half has larger pictures."""
    if codec in ("msmpeg4", "wmv2", "ffv1"):
        raise ValueError("its key frames do not have the size")
    larger = [p.later(N) for p in encode(codec, first=N, size=(176, 144)).packets]
    return _written(path, codec, [*encode(codec).packets, *larger])


def two_tracks(path: Path, codec: str) -> OddVideo:
    """The first track is shorter and not the default."""
    small = encode(codec, first=100, n=N // 2, size=(176, 144))
    tracks = Track(small.file, small.packets), Track(encode(codec).file, encode(codec).packets, "default")
    with av.open(str(mux(path, *tracks))) as file:  # not each container has a place for what is the default
        best = file.streams.best("video").index
    return OddVideo(path, list(range(N)) if best else list(range(100, 100 + N // 2)))


def variable_rate(path: Path, codec: str) -> OddVideo:
    """Pictures at times that are not even, with a pause of 4 s."""
    times = tuple(2 * k + k % 3 // 2 + 100 * (k > N // 2) for k in range(N))
    return _written(path, codec, encode(codec, times=times).packets, codec_header=encode(codec, times=times).file)


def oriented(name: str) -> Callable[[Path, str], OddVideo]:
    """Files with this display matrix."""
    matrix, turn = ORIENTATIONS[name]

    def make(path: Path, codec: str) -> OddVideo:
        if path.suffix[1:] not in BOXES:
            raise ValueError(f"{path.suffix} has no display matrix")
        plain(path, codec)
        path.write_bytes(with_matrix(path.read_bytes(), matrix))
        return OddVideo(path, list(range(N)), turn)

    return make


EDITS: dict[str, Callable[[Path, str], OddVideo]] = {
    function.__name__.replace("_", " "): function
    for function in (
        plain, trim_head, trim_tail, trim_both, cut_middle, concatenate, concatenate_mid_group,
        clock_back, clock_restarts, clock_overlaps, clock_ahead, cut_before_key, change_size, two_tracks, variable_rate,
    )
} | {name: oriented(name) for name in ORIENTATIONS}  # fmt: skip


def with_matrix(content: bytes, matrix: tuple[float, float, float, float]) -> bytes:
    """An mp4 with a, b, c and d of the display matrix."""
    a, b, c, d = (round(value * 65536) for value in matrix)
    at = content.index(b"tkhd") + 4 + 40
    return content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :]


def trimmed(content: bytes, first: int = 0, n: int | None = None) -> bytes:
    """An mp4 whose edit list shows `n` pictures from number `first` on."""
    at = content.index(b"elst") + 4 + 8
    duration, start = struct.unpack(">Ii", content[at : at + 8])
    movie = struct.unpack(">I", content[content.index(b"mvhd") + 16 :][:4])[0]
    media = struct.unpack(">I", content[content.index(b"mdhd") + 16 :][:4])[0]
    duration = duration - first * movie // RATE if n is None else n * movie // RATE
    return content[:at] + struct.pack(">Ii", duration, start + first * media // RATE) + content[at + 8 :]


def with_two_edits(content: bytes, stop: int, start: int) -> bytes:
    """An mp4 whose edit list shows the pictures before number `stop` and those from number `start` on."""
    at = content.index(b"elst") + 4 + 4
    movie = struct.unpack(">I", content[content.index(b"mvhd") + 16 :][:4])[0]
    media = struct.unpack(">I", content[content.index(b"mdhd") + 16 :][:4])[0]
    duration, first, rate = struct.unpack(">IiI", content[at + 4 : at + 16])
    edits = (stop * movie // RATE, first), (duration - start * movie // RATE, first + start * media // RATE)
    content = (
        content[:at]
        + struct.pack(">I", 2)
        + b"".join(struct.pack(">IiI", *e, rate) for e in edits)
        + content[at + 16 :]
    )
    for box in (b"elst", b"edts", b"trak", b"moov"):
        size = content.index(box) - 4
        content = (
            content[:size]
            + struct.pack(">I", struct.unpack(">I", content[size : size + 4])[0] + 12)
            + content[size + 4 :]
        )
    return content


def _written(path: Path, codec: str, packets: Sequence[Coded], codec_header: bytes = b"") -> OddVideo:
    return OddVideo(mux(path, Track(codec_header or encode(codec).file, packets)), _shown(packets))


def _from_key(packets: Sequence[Coded], key: int) -> Sequence[Coded]:
    """The packets from a key frame on (the first key frame is number 0)."""
    return packets[[i for i, packet in enumerate(packets) if packet.keyframe][key] :]


def _shown(packets: Sequence[Coded]) -> list[int]:
    """The codes of the pictures after the first key frame, in the order of their times."""
    packets = _from_key(packets, 0)
    return [p.code for p in sorted(packets, key=lambda p: p.pts) if p.code >= 0 and p.pts >= packets[0].pts]


def _joined(path: Path, codec: str, first_start: Fraction | int, second_start: Fraction | int) -> OddVideo:
    if path.suffix[1:] not in JOINABLE:
        raise ValueError(f"two {path.suffix} files one after the other are no {path.suffix} file")
    parts = []
    for first, start in ((0, first_start), (N, second_start)):
        encoded = encode(codec, first=first)
        mux(path, Track(encoded.file, [packet.later(start) for packet in encoded.packets]))
        parts.append(path.read_bytes())
    path.write_bytes(parts[0] + (parts[1][13:] if path.suffix == ".flv" else parts[1]))
    return OddVideo(path, list(range(2 * N)))
