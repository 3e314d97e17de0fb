"""A run's data set, answers and scores as W&B artifacts, which name each other by digest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaa.evaluation.evaluation import Evaluation
from vaa.tracking.service import use_artifact
from vaa.types import Report, Video

_ANSWER_FIELDS = ("responses", "tags", "boxes", "summary", "judgement")


def log_artifacts(
    run: Any,
    evaluation: Evaluation,
    videos: Sequence[Video],
    method: str,
    metrics: Mapping[str, float],
    folder: Path,
) -> None:
    """Log data set -> run -> answers and scores. Equal content is one version, whichever run logs it.

    The data set is an input of the run, so that W&B's lineage graph joins all runs on it. `videos`: those of the run.
    """
    name = evaluation.data
    data = _artifact("data", "dataset", name, {"data": name, "videos": len(evaluation.history)})
    _add_jsonl(data, "videos.jsonl", _video_rows(evaluation, videos))
    use_artifact(run, data)
    sources = {"data": data.name, "data_digest": data.digest}
    answers = _artifact("answers", "answers", f"{method}-{name}", dict(sources))
    rows = list(_answer_rows(evaluation))
    if rows:
        _add_jsonl(answers, "answers.jsonl", rows)
        run.log_artifact(answers)
        sources |= {"answers": answers.name, "answers_digest": answers.digest}
    scores = _artifact("scores", "scores", f"{method}-{name}", {**sources, "metrics": _nan_to_null(dict(metrics))})
    for file in _result_files(folder):
        scores.add_file(str(file), str(file.relative_to(folder)), policy="immutable", skip_cache=True)
    run.log_artifact(scores)


def _artifact(kind: str, type_: str, name: str, metadata: dict[str, Any]) -> Any:
    import wandb

    return wandb.Artifact(re.sub(r"[^\w.-]+", "-", f"{kind}-{name}"), type=type_, metadata=metadata)


def _add_jsonl(artifact: Any, file: str, rows: list[dict[str, Any]]) -> None:
    with artifact.new_file(file, mode="w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(_nan_to_null(row), ensure_ascii=False, sort_keys=True) + "\n" for row in rows)


def _video_rows(evaluation: Evaluation, videos: Sequence[Video]) -> list[dict[str, Any]]:
    """The videos of the run and their ground truth; without paths, so that they are equal on all machines."""
    rows = []
    for video in videos:
        if video.id in evaluation.history:
            truth = evaluation.truths.get(video.id)
            intervals = [[span.start, span.stop, span.label] for span in truth.spans] if truth else None
            row = {"id": video.id, "frames": video.n_frames, "fps": video.fps}
            rows.append({**row, "class": evaluation.label(video.id), "intervals": intervals})
    return rows


def _answer_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """What the answers of the models changed in the report, a row per video and stage; embeddings have no row."""
    stages = {stats.stage for stats in evaluation.stats if stats.n_queries + stats.n_cached and not stats.embedding}
    for video, history in evaluation.history.items():
        before: Report | None = None
        for stage, after in history.items():
            if stage in stages:
                values = {name: getattr(after, name) for name in _ANSWER_FIELDS}
                changed = {
                    name: _plain(value)
                    for name, value in values.items()
                    if value and (before is None or value != getattr(before, name))
                }
                if changed:
                    yield {"video": video, "stage": stage, **changed}
            before = after


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [asdict(item) for item in value]
    return value if isinstance(value, str) else asdict(value)


def _nan_to_null(value: Any) -> Any:
    """JSON has no NaN."""
    return json.loads(json.dumps(value), parse_constant=lambda name: None)


def _result_files(folder: Path) -> list[Path]:
    """The files that are the run's result, in order."""
    names = ("metrics.json", "failures.json", "notices.json", "truth.json")
    files = [folder / name for name in names]
    for part in ("scores", "reports"):
        files += sorted((folder / part).rglob("*.json"))
    return [file for file in files if file.is_file()]
