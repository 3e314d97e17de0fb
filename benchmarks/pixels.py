"""Pixels for 8 of every 30 frames, decoded and resized."""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch  # noqa: F401, as where a model is in memory: the processes beside it need not load it

from benchmarks.clips import clip
from benchmarks.timing import Row, clock, ratio
from vaa.types import Video
from vaa.video import shared_memory, sources
from vaa.video.decoders import DECODERS
from vaa.video.prefetch import DECODE_TIMEOUT, DecodePool, Prepared
from vaa.video.resize import RESIZERS

SIDE, SECONDS, BATCH = 448, 240, 16
CORES = os.cpu_count() or 1
REFERENCE = "one frame at a time by index, PIL, one process"


def rows() -> list[Row]:
    found = []
    for every, wanted in ((250, 1.5), (30, 2.5)):
        path = clip(Path("outputs/benchmarks") / f"key{every}_{SECONDS}s.mp4", SECONDS, every)
        name = f"pixels for 8 of every 30 frames, a key frame every {every}"
        for decoder in DECODERS:
            check(path, decoder)
        for resize, decoder in (("torch", "decord"), ("pil", "decord"), ("torch", "pyav")):
            what = f"{name}, resized to {SIDE} (resize={resize} decoder={decoder})"
            mine, others = partial(ours, path, resize, decoder), partial(theirs, path)
            row = ratio(what, REFERENCE, wanted, mine, others, repeats=3)
            found.append(row if resize == "torch" else replace(row, required="-"))
        found += [_against_plain(f"{name}, not resized (decoder={decoder})", path, decoder) for decoder in DECODERS]
    return found


def windows() -> list[tuple[int, ...]]:
    return [tuple(int(f) for f in np.linspace(k, k + 29, 8)) for k in range(0, SECONDS * 30, 30)]


def work(resize: str | None, decoder: str, job: tuple[Path, list[tuple[int, ...]]]) -> Prepared:
    """As vaa.video.prefetch does, without normalising, which the reference does not do either."""
    path, asked = job
    shown = Video("v", path, SECONDS * 30, 30.0)
    pixels = sources.frames(shown, [frame for one in asked for frame in one], decoder)
    if CORES > 1:
        sources.stop_readahead(shown, decoder)
    if resize is None:
        return Prepared({"pixels": pixels})

    def fill_row(k: int, row: np.ndarray) -> None:
        row[:] = RESIZERS[resize](pixels[k], (SIDE, SIDE), "bicubic")

    return Prepared({"pixels": shared_memory.build_array((len(pixels), SIDE, SIDE, 3), np.uint8, fill_row)})


def ours(path: Path, resize: str | None, decoder: str) -> int:
    """As a run does it, with as many processes as there are cores, since no model needs one."""
    asked, seen = windows(), 0
    with DecodePool(work=partial(work, resize, decoder), workers=CORES, timeout=DECODE_TIMEOUT) as pool:
        handles = [pool.submit((path, asked[k : k + BATCH])) for k in range(0, len(asked), BATCH)]
        for handle in handles:
            result = pool.result(handle)
            assert isinstance(result, Prepared)
            seen += len(result.arrays["pixels"])
    return seen


def theirs(path: Path) -> int:
    """CoReVAD's way: one reader, one frame at a time by its number."""
    import decord

    decoder, seen = decord.VideoReader(str(path), num_threads=1), 0
    for one in windows():
        for frame in one:
            RESIZERS["pil"](decoder[frame].asnumpy(), (SIDE, SIDE), "bicubic")
            seen += 1
    return seen


def plain(path: Path) -> int:
    """All frames one after another, FFmpeg's threads on all cores; as RGB, since that is what pixels are."""
    import av

    painter, seen = av.video.reformatter.VideoReformatter(), 0  # one for all frames: to make one takes as long again
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            seen += len(painter.reformat(frame, format="rgb24").to_ndarray()) > 0
    return seen


def check(path: Path, decoder: str) -> None:
    import decord

    reference = decord.VideoReader(str(path), num_threads=1)
    one = windows()[3]
    pixels = work(None, decoder, (path, [one])).arrays["pixels"]
    assert all((pixels[k] == reference[frame].asnumpy()).all() for k, frame in enumerate(one))
    small = [work(resize, decoder, (path, [one])).arrays["pixels"].astype(int) for resize in ("pil", "torch")]
    apart = np.abs(small[0] - small[1])
    assert apart.max() <= 2
    assert np.mean(apart > 0) < 0.01


def _against_plain(what: str, path: Path, decoder: str) -> Row:
    pairs = [(clock(partial(ours, path, None, decoder)), clock(partial(plain, path))) for _ in range(4)][1:]
    mine, others = [a for a, _ in pairs], [b for _, b in pairs]
    found = statistics.median(others) / statistics.median(mine)
    return Row(what, "plain sequential decoding, as many cores", f"{found:.2f}x", ">= 0.9x", found >= 0.9, mine, others)
