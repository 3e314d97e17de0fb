"""Decoding and resizing 8 of every 30 frames."""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch  # noqa: F401, imported before the processes are forked, as in a run with a model

from benchmarks.clips import clip
from benchmarks.timing import Row, clock, ratio
from vaa import process
from vaa.types import Video
from vaa.video import shared_memory, sources
from vaa.video.decoders import DECODERS
from vaa.video.prefetch import DecodePool, Prepared
from vaa.video.resize import RESIZERS

SIDE, SECONDS, BATCH = 448, 240, 16
CORES = os.cpu_count() or 1
REFERENCE = "one frame at a time by index, PIL, one process"


def rows() -> list[Row]:
    measured = []
    for every, required in ((250, 1.5), (30, 2.5)):
        path = clip(Path("outputs/benchmarks") / f"key{every}_{SECONDS}s.mp4", SECONDS, every)
        name = f"pixels for 8 of every 30 frames, a key frame every {every}"
        for decoder in DECODERS:
            check(path, decoder)
        for resize, decoder in (("torch", "decord"), ("pil", "decord"), ("torch", "pyav")):
            row_name = f"{name}, resized to {SIDE} (resize={resize} decoder={decoder})"
            actions = partial(ours, path, resize, decoder), partial(theirs, path)
            row = ratio(row_name, REFERENCE, required, *actions, repeats=3)
            measured.append(row if resize == "torch" else replace(row, required="-"))
        measured += [
            _compare_with_sequential(f"{name}, not resized (decoder={decoder})", path, decoder) for decoder in DECODERS
        ]
    return measured


def windows() -> list[tuple[int, ...]]:
    return [tuple(int(f) for f in np.linspace(k, k + 29, 8)) for k in range(0, SECONDS * 30, 30)]


def prepare(resize: str | None, decoder: str, job: tuple[Path, list[tuple[int, ...]]]) -> Prepared:
    """As vaa.video.prefetch does, without normalising, which the reference does not do either."""
    path, batch = job
    video = Video("v", path, SECONDS * 30, 30.0)
    pixels = sources.frames(video, [frame for window in batch for frame in window], decoder)
    if CORES > 1:
        sources.stop_readahead(video, decoder)
    if resize is None:
        return Prepared({"pixels": pixels})

    def fill_row(k: int, row: np.ndarray) -> None:
        row[:] = RESIZERS[resize](pixels[k], (SIDE, SIDE), "bicubic")

    return Prepared({"pixels": shared_memory.build_array((len(pixels), SIDE, SIDE, 3), np.uint8, fill_row)})


def ours(path: Path, resize: str | None, decoder: str) -> int:
    """As in a run, with one process per core, since there is no model."""
    batches, count = windows(), 0
    with DecodePool(work=partial(prepare, resize, decoder), workers=CORES, timeout=process.decode_timeout()) as pool:
        handles = [pool.submit((path, batches[k : k + BATCH])) for k in range(0, len(batches), BATCH)]
        for handle in handles:
            result = pool.result(handle)
            assert isinstance(result, Prepared)
            count += len(result.arrays["pixels"])
    return count


def theirs(path: Path) -> int:
    """As in CoReVAD's code: one decoder, one frame at a time by its number."""
    import decord

    decoder, count = decord.VideoReader(str(path), num_threads=1), 0
    for window in windows():
        for frame in window:
            RESIZERS["pil"](decoder[frame].asnumpy(), (SIDE, SIDE), "bicubic")
            count += 1
    return count


def sequential(path: Path) -> int:
    """All frames in order as RGB, with FFmpeg's threads on all cores."""
    import av

    reformatter, count = av.video.reformatter.VideoReformatter(), 0  # one for all frames: making one doubles the time
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            count += len(reformatter.reformat(frame, format="rgb24").to_ndarray()) > 0
    return count


def check(path: Path, decoder: str) -> None:
    import decord

    reference = decord.VideoReader(str(path), num_threads=1)
    window = windows()[3]
    pixels = prepare(None, decoder, (path, [window])).arrays["pixels"]
    assert all((pixels[k] == reference[frame].asnumpy()).all() for k, frame in enumerate(window))
    resized = [prepare(resize, decoder, (path, [window])).arrays["pixels"].astype(int) for resize in ("pil", "torch")]
    difference = np.abs(resized[0] - resized[1])
    assert difference.max() <= 2
    assert np.mean(difference > 0) < 0.01


def _compare_with_sequential(name: str, path: Path, decoder: str) -> Row:
    pairs = [(clock(partial(ours, path, None, decoder)), clock(partial(sequential, path))) for _ in range(4)][1:]
    ours_seconds, sequential_seconds = [a for a, _ in pairs], [b for _, b in pairs]
    factor = statistics.median(sequential_seconds) / statistics.median(ours_seconds)
    reference = "sequential decoding, as many cores"
    return Row(name, reference, f"{factor:.2f}x", ">= 0.9x", factor >= 0.9, ours_seconds, sequential_seconds)
