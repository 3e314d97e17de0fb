"""Small folders of finished runs, as run.py writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report import files
from vaa.types import Dataset, Failure, GroundTruth, Report, ScoreTrack, Span, Video

LAVAD = Protocol(
    name="lavad",
    labels=None,
    end_inclusive=True,
    precision="float64",
    pad=0.0,
    smooth=0.0,
    transform="none",
    metrics={},
)


def make(
    folder: Path,
    tracks: Mapping[str, Sequence[float]],
    spans: Mapping[str, tuple[int, int]],
    choices: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    protocol: Protocol = LAVAD,
    failures: Sequence[Failure] = (),
) -> Path:
    """Write a run; a video has ten frames for each score of its track, `spans` are its anomalous frames, if any."""
    reports = {}
    for name, values in tracks.items():
        starts = 10 * np.arange(len(values), dtype=np.int64)
        track = ScoreTrack(np.array(values, dtype=np.float64), starts)
        reports[name] = Report(Video(name, Path("v.mp4"), 10 * len(values), 10.0), track=track)
    truths = {
        name: GroundTruth((Span(spans[name][0], spans[name][1] + 1, "x"),) if name in spans else (), "x")
        for name in tracks
    }
    dataset = Dataset("ours", tuple(r.video for r in reports.values()), truths, ())
    result = RunResult(reports, {name: {"read": report} for name, report in reports.items()}, list(failures))
    evaluation = evaluate(result=result, dataset=dataset, protocol=protocol)
    files.write_results(folder, result, [])
    files.write_truth(folder, evaluation)
    counts = {"failed": len(failures), "unparsed": 0, "answers": 0}
    files.write_metrics(folder, protocol.name, evaluation.metrics | counts)
    hydra = folder / ".hydra"
    hydra.mkdir()
    (hydra / "config.yaml").write_text(yaml.safe_dump(dict(config or {})))
    (hydra / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    recorded = {"hydra": {"runtime": {"choices": {**(choices or {}), "hydra/launcher": "basic"}}}}
    (hydra / "hydra.yaml").write_text(yaml.safe_dump(recorded))
    return folder


def videos(seed: int, count: int = 12, gain: float = 0.5) -> tuple[dict[str, list[float]], dict[str, tuple[int, int]]]:
    """Tracks and spans of `count` videos, half of them with an event that raises the scores by `gain`."""
    rng = np.random.default_rng(seed)
    tracks, spans = {}, {}
    for k in range(count):
        scores = rng.random(12).round(2)
        if k % 2:
            scores[4:7] += gain
            spans[f"v{k:02d}"] = (40, 69)
        tracks[f"v{k:02d}"] = scores.tolist()
    return tracks, spans


def metrics(folder: Path) -> dict[str, float]:
    return dict(json.loads((folder / "metrics.json").read_text()))
