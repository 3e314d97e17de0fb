"""What a person at the terminal reads: the numbers that matter, where the rest lies, and errors in words."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

log = logging.getLogger("vaa")
_FIRST = ("roc_auc", "pr_auc", "average_precision", "within_video_auc", "f1_best")


def show(metrics: Mapping[str, float], folder: Path, notices: Sequence[str]) -> None:
    """Log the metrics, the cost, the folder and what must be known of the numbers."""
    for name in _FIRST:
        if name in metrics:
            log.info("%-18s %.6f", name, metrics[name])
    log.info("%d videos, %d frames, %d failed", metrics["videos"], metrics["frames"], metrics["failed"])
    log.info(
        "%d questions asked, %d remembered, %d answers unread",
        *(int(metrics[k]) for k in ("questions_asked", "questions_remembered", "unread")),
    )
    log.info("results in %s", folder)
    for notice in notices:
        log.warning("%s", "*" * 100)
        log.warning("%s", notice)
        log.warning("%s", "*" * 100)


def plainly(error: Exception) -> str:
    """The message of an error without the machinery round it: hydra wraps what a component says of its own fields."""
    cause: BaseException = error
    while cause.__cause__ is not None and type(cause).__name__ == "InstantiationException":
        cause = cause.__cause__
    text = str(cause).strip()
    return text if cause is error else f"{text}\n({str(error).strip().splitlines()[-1]})"
