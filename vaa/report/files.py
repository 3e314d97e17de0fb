"""A run's folder: metrics, failures, a score file and a report for each video, and what reproduces the run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from vaa.data.masks import outlines
from vaa.evaluation import metric_sets
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.protocol import intervals
from vaa.installation import CHECKOUT, DISTRIBUTION, command
from vaa.pipeline import RunResult
from vaa.process import PROJECT_ROOT
from vaa.report import report_file
from vaa.types import ScoreTrack, file_name

PERFORMANCE = "performance.json"
_LIBRARIES = (
    *("accelerate", "av", "decord", "hydra-core", "numpy", "omegaconf", "openai", "pillow", "ray", "scikit-learn"),
    *("scipy", "tokenizers", "torch", "torchvision", "transformers", DISTRIBUTION, "wandb"),
)


def write_results(folder: Path, result: RunResult, notices: Sequence[str], details: bool = True) -> None:
    """Write notices and failures into a run's folder; with `details` the scores and the report of each video."""
    write_json(folder / "notices.json", list(notices), indent=True)
    write_json(folder / "failures.json", result.failures, indent=True)
    if not details:
        return
    tracks = {id_: r.track.per_frame(r.video.n_frames) for id_, r in result.reports.items() if r.track is not None}
    stride = common_stride(tracks)
    for video, track in tracks.items():
        write_json(folder / "scores" / file_name(video), strided_scores(track, stride))
    for video, report in result.reports.items():
        write_json(folder / "reports" / file_name(video), report_file.encode(report.video, result.history[video]))


def write_truth(folder: Path, evaluation: Evaluation) -> None:
    """Write `truth.json`: the protocol, and for each video with labels its ground truth and anomalous frames.

    `anomalous` are the intervals by the protocol, cut at the video's end, `intervals` those of the data set with their
    classes; [start, stop) in frames. `outlines` are boxes around pixel masks, on some frames.
    """
    videos = dict[str, dict[str, Any]]()
    for video, labels in evaluation.labels.items():
        truth = evaluation.truths[video]
        videos[video] = {
            "class": truth.label,
            "frames": len(labels),
            "anomalous": intervals(labels),
            "intervals": [[span.start, span.stop, span.label] for span in truth.spans],
            "boxes": [[box.frame, *box.xyxy, *([] if box.track is None else [box.track])] for box in truth.boxes],
            "text": truth.text,
        }
        if truth.masks is not None:
            around = outlines(truth, evaluation.reports[video].video.fps)
            videos[video]["outlines"] = [[box.frame, *box.xyxy] for box in around]
    metrics = metric_sets.encode(evaluation.protocol.metrics)
    protocol = asdict(replace(evaluation.protocol, metrics={})) | {"metrics": metrics}
    content = {"data": evaluation.data, "protocol": protocol, "videos": videos}
    write_json(folder / "truth.json", content)


def write_performance(folder: Path, result: RunResult) -> None:
    """Write `performance.json`: for each stage its seconds, queries, cached answers, waiting and memory, and cores."""
    stages = {stats.stage: asdict(stats) for stats in result.stats}
    write_json(folder / PERFORMANCE, {"stages": stages, "cores": os.cpu_count()}, indent=True)


def write_metrics(folder: Path, protocol: str, metrics: Mapping[str, float]) -> None:
    """Write `metrics.json`: the protocol's name and the numbers, flat; null where a number is not defined."""
    write_json(folder / "metrics.json", {"protocol": protocol, **metrics}, indent=True)


def common_stride(tracks: Mapping[str, ScoreTrack]) -> int:
    """The largest regular stride, in frames, at which no per-frame track of the run loses a change."""
    changes = [np.flatnonzero(np.diff(track.values)) + 1 for track in tracks.values()]
    stride = int(np.gcd.reduce(np.concatenate(changes))) if changes else 0
    return stride or max([1, *(len(track.values) for track in tracks.values())])


def strided_scores(track: ScoreTrack, stride: int) -> dict[str, float]:
    """Frame -> score of a per-frame track, one in `stride` frames: the format that LAVAD's and URF's programs read."""
    if not len(track.starts):
        return {}
    first, last = int(track.starts[0]), int(track.starts[-1])
    names = _frame_names(1 << last.bit_length())[first : last + 1 : stride]
    return dict(zip(names, track.values[::stride].tolist(), strict=True))


@lru_cache(maxsize=32)
def _frame_names(n_frames: int) -> list[str]:
    """The frames' numbers as text, made once for all videos of a run."""
    return [str(k) for k in range(n_frames)]


def write_reproduction(folder: Path, overrides: Sequence[str]) -> None:
    """Write `rerun.sh`, `environment.json` and, where the source tree differs from its commit, `changes.diff`.

    Arguments of `rerun.sh` are appended to the run's own overrides and take precedence. Environment variables are not
    written, since they may hold keys.
    """
    line = shlex.join([*command(), *overrides])
    script = f'#!/bin/sh\ncd {shlex.quote(str(Path.cwd()))} && {line} "$@"\n'
    write_bytes(folder / "rerun.sh", script.encode())
    changes = _git("diff", "HEAD")
    if changes:
        write_bytes(folder / "changes.diff", changes)
    write_json(folder / "environment.json", environment(changed=bool(changes)), indent=True)


def environment(*, changed: bool) -> dict[str, Any]:
    """Commit and untracked files of the source tree (empty without git), and the versions of the libraries."""
    untracked = _git("ls-files", "--others", "--exclude-standard").decode(errors="replace").splitlines()
    return {
        "commit": _git("rev-parse", "HEAD").decode().strip() or None,
        "changed": changed,
        "untracked": untracked,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


@cache  # once for all jobs of a multirun
def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*args: str) -> bytes:
    """The output of a git command in the source tree; empty where there is no such tree, no git or no commit."""
    if not CHECKOUT:
        return b""
    try:
        return subprocess.run(["git", *args], cwd=PROJECT_ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


def remove_unused(folder: Path) -> None:
    """Remove a run's folder that has nothing but Hydra's log and copy of the config, and its empty parents.

    The `multirun.yaml` of a multirun without other jobs is removed too.
    """
    folder, here = folder.absolute(), Path.cwd()
    entries = list(folder.iterdir()) if folder.is_dir() else []
    if folder == here or any(entry.name != ".hydra" and entry.suffix != ".log" for entry in entries):
        return
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # a parent with something in it
        if folder.parent != here and [entry.name for entry in folder.parent.iterdir()] == ["multirun.yaml"]:
            folder = folder.parent
            (folder / "multirun.yaml").unlink()
            folder.rmdir()
        for parent in folder.parents:
            if parent == here or not parent.is_relative_to(here):
                break
            parent.rmdir()


def write_json(file: Path, value: Any, indent: bool = False) -> None:
    """Write JSON: dataclasses as objects, arrays as lists, NaN, which JSON does not have, as null."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    write_bytes(file, orjson.dumps(value, default=str, option=options))


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file atomically, so that an interrupted run leaves no partial results."""
    temporary = file.with_name(f".{os.getpid()}.tmp")  # short, since the file's own name may have the maximum length
    try:
        try:
            temporary.write_bytes(content)
        except FileNotFoundError:  # the folder exists for all but the first file
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
