"""A run's folder: metrics, failures, a score file and a report for each video."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from vaa.errors import VaaError
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.types import Dataset, Report, ScoreTrack, file_name

_TOLD = tuple(field.name for field in fields(Report) if field.name not in ("video", "truth"))


def write(folder: Path, result: RunResult, notices: Sequence[str], details: bool = True) -> None:
    """Write notices and failures into a run's folder, with `details` for each video its scores and its report too."""
    dump(folder / "notices.json", list(notices), indent=True)
    dump(folder / "failures.json", result.failures, indent=True)
    if not details:
        return
    tracks = {id_: r.track.per_frame(r.video.n_frames) for id_, r in result.reports.items() if r.track is not None}
    every = stride(tracks)
    for video, track in tracks.items():
        dump(folder / "scores" / file_name(video), scores(track, every))
    for video, report in result.reports.items():
        dump(folder / "reports" / file_name(video), _story(report, result.history[video]))


def write_truth(folder: Path, result: RunResult, dataset: Dataset, protocol: Protocol) -> None:
    """Write `truth.json`: how the run was counted, and of each video that has labels which frames are anomalous.

    The intervals are those the protocol counts: cut at the video's end, their stop excluded.
    """
    spans, videos = protocol.spans(dataset), {}
    for id_, report in result.reports.items():
        if id_ not in spans:
            continue
        truth, labels = dataset.truths[id_], protocol.frame_labels(report.video, spans[id_])
        edges = np.flatnonzero(np.diff(labels, prepend=False, append=False)).reshape(-1, 2)
        boxes = [[box.frame, *box.xyxy] for box in truth.boxes]
        videos[id_] = {"class": truth.label, "anomalous": edges.tolist(), "boxes": boxes, "text": truth.text}
    dump(folder / "truth.json", {"data": dataset.name, "protocol": asdict(protocol), "videos": videos})


def write_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """Write `metrics.json`: flat, numbers only, null where a number is not defined."""
    dump(folder / "metrics.json", metrics, indent=True)


def stride(tracks: Mapping[str, ScoreTrack]) -> int:
    """The coarsest regular stride, in frames, at which no (per-frame) track of the run loses anything."""
    changes = [np.flatnonzero(np.diff(track.values)) + 1 for track in tracks.values()]
    found = int(np.gcd.reduce(np.concatenate(changes))) if changes else 0
    return found or max([1, *(len(track.values) for track in tracks.values())])


def scores(track: ScoreTrack, every: int) -> dict[str, float]:
    """Frame -> score of a per-frame track, one in `every` frames: what LAVAD's and URF's programs read."""
    if not len(track.starts):
        return {}
    first, last = int(track.starts[0]), int(track.starts[-1])
    return dict(
        zip(_numbers(1 << last.bit_length())[first : last + 1 : every], track.values[::every].tolist(), strict=True)
    )


@lru_cache(maxsize=32)
def _numbers(most: int) -> list[str]:
    """The frames' numbers as text: those of a run's videos are mostly the same."""
    return [str(k) for k in range(most)]


def _story(report: Report, history: Mapping[str, Report]) -> dict[str, Any]:
    """Everything known of a video: what it is, and what each stage changed."""
    video, before = report.video, Report(report.video)
    stages: dict[str, Any] = {}
    for name, after in history.items():
        stages[name] = {
            field: _plain(getattr(after, field))
            for field in _TOLD
            if getattr(after, field) is not getattr(before, field)
        }
        before = after
    about = {"id": video.id, "path": str(video.path), "n_frames": video.n_frames, "fps": video.fps}
    return {"video": about, "stages": stages}


def _plain(value: Any) -> Any:
    if not isinstance(value, ScoreTrack):
        return value
    kept = np.flatnonzero(np.diff(value.values, prepend=np.nan) != 0)
    stop = 2 * int(value.starts[-1]) - int(value.starts[-2]) if len(value.starts) > 1 else None
    return {"starts": value.starts[kept], "values": value.values[kept], "stop": stop}


def dump(file: Path, value: Any, indent: bool = False) -> None:
    """As JSON: dataclasses as objects, arrays as lists, NaN, which is no JSON, as null."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    put(file, orjson.dumps(value, default=str, option=options))


def put(file: Path, content: bytes) -> None:
    """Write a whole file or none: what a killed run leaves is never taken for a result."""
    building = file.with_name(f".{os.getpid()}.tmp")  # short: a video's name may be as long as a file's
    try:
        try:
            building.write_bytes(content)
        except FileNotFoundError:  # the folder is there for all but the first
            file.parent.mkdir(parents=True, exist_ok=True)
            building.write_bytes(content)
        building.replace(file)
    except BaseException:
        building.unlink(missing_ok=True)
        raise


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Where a run's folder cannot be written, say so.

    Raises:
        VaaError: no space is left, or the folder may not be written.
    """
    try:
        yield
    except OSError as error:
        raise VaaError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error}). Free the disk, or give "
            "another folder as hydra.run.dir=FOLDER. What was answered is remembered: the same command goes on."
        ) from error
