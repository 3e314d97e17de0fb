"""A run's data, answers and scores as W&B artifacts: what came from what, with the digest of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaa.evaluation.evaluation import Evaluation
from vaa.types import Report

_SAID = ("responses", "tags", "boxes", "summary", "judgement")


def log_lineage(run: Any, found: Evaluation, method: str, metrics: Mapping[str, Any], folder: Path) -> None:
    """Data set -> run -> answers and scores. Equal content is one version, whichever run logs it.

    The data set is an input of the run, so that W&B's graph joins all runs on it.
    """
    name = found.dataset.name
    data = _artifact(run, "data", "dataset", name, {"data": name, "videos": len(found.result.history)})
    _write(data, "videos.jsonl", _videos(found))
    _use(run, data)
    came_from = {"data": data.name, "data_digest": data.digest}
    answers = _artifact(run, "answers", "answers", f"{method}-{name}", dict(came_from))
    lines = list(_answers(found))
    if lines:
        _write(answers, "answers.jsonl", lines)
        run.log_artifact(answers)
        came_from |= {"answers": answers.name, "answers_digest": answers.digest}
    numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    scores = _artifact(run, "scores", "scores", f"{method}-{name}", {**came_from, "metrics": _finite(numbers)})
    for file in _results(folder):
        scores.add_file(str(file), str(file.relative_to(folder)), policy="immutable", skip_cache=True)
    run.log_artifact(scores)


def _artifact(run: Any, kind: str, type_: str, name: str, metadata: dict[str, Any]) -> Any:
    import wandb

    return wandb.Artifact(re.sub(r"[^\w.-]+", "-", f"{kind}-{name}"), type=type_, metadata=metadata)


def _use(run: Any, artifact: Any) -> None:
    """Log an artifact as an input. W&B refuses that offline, but its record says it, and `wandb sync` does it then."""
    if run.offline:
        run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
    else:
        run.use_artifact(artifact)


def _write(artifact: Any, file: str, lines: list[dict[str, Any]]) -> None:
    with artifact.new_file(file, mode="w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(_finite(line), ensure_ascii=False, sort_keys=True) + "\n" for line in lines)


def _videos(found: Evaluation) -> list[dict[str, Any]]:
    """The videos of the run and what is true of them; no paths, so that it is the same on every machine."""
    lines = []
    for video in found.dataset.videos:
        if video.id in found.result.history:
            truth = found.dataset.truths.get(video.id)
            spans = [[span.start, span.end, span.label] for span in truth.spans] if truth else None
            about = {"id": video.id, "frames": video.n_frames, "fps": video.fps}
            lines.append({**about, "class": found.label(video.id), "spans": spans})
    return lines


def _answers(found: Evaluation) -> Iterator[dict[str, Any]]:
    """What the models said, a line a video and stage; encoders say nothing."""
    asking = {step.stage for step in found.result.stats if step.n_queries + step.n_cached and not step.embedding}
    for video, history in found.result.history.items():
        before: Report | None = None
        for stage, after in history.items():
            if stage in asking:
                said = {key: getattr(after, key) for key in _SAID}
                new = {key: value for key, value in said.items() if before is None or value != getattr(before, key)}
                told = {key: value for key, value in new.items() if value}
                if told:
                    yield {"video": video, "stage": stage, **{key: _plain(value) for key, value in told.items()}}
            before = after


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [asdict(item) for item in value]
    return value if isinstance(value, str) else asdict(value)


def _finite(value: Any) -> Any:
    """NaN is no JSON: null."""
    return json.loads(json.dumps(value), parse_constant=lambda name: None)


def _results(folder: Path) -> list[Path]:
    """The files that are the run's result, in order."""
    names = ("metrics.json", "failures.json", "notices.json", "truth.json")
    parts = (sorted((folder / part).rglob("*.json")) for part in ("scores", "reports"))
    return [
        file for file in (*(folder / name for name in names), *(f for part in parts for f in part)) if file.is_file()
    ]
