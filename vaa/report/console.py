"""What a person at the terminal reads: the numbers that matter, where the rest lies, and errors in words."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from vaa.errors import ConfigError, VaaError
from vaa.report.alerts import Alert, Alerts

log = logging.getLogger("vaa")
_FIRST = ("roc_auc", "pr_auc", "average_precision", "within_video_auc", "f1_best")
_MOST = 20


def show(
    metrics: Mapping[str, float], folder: Path, notices: Sequence[str], alerts: Alerts | None, found: Sequence[Alert]
) -> None:
    """Log the metrics, the cost, what was `found` suspicious, the folder and what must be known of the numbers."""
    for name in _FIRST:
        if name in metrics:
            log.info("%-18s %.6f", name, metrics[name])
    log.info("%d videos, %d frames, %d failed", metrics["videos"], metrics["frames"], metrics["failed"])
    log.info(
        "%d questions asked, %d remembered, %d answers unread",
        *(int(metrics[k]) for k in ("model_queries", "cache_hits", "unparsed")),
    )
    if alerts is not None:
        _suspicious(alerts, found, len(found) if "anomalous_share" not in metrics else 0)
    log.info("results in %s", folder)
    if (folder / "report.html").is_file():
        log.info("to look at: %s", folder / "report.html")
    for notice in notices:
        log.warning("%s", "*" * 100)
        log.warning("%s", notice)
        log.warning("%s", "*" * 100)


def _suspicious(alerts: Alerts, found: Sequence[Alert], wanted: int) -> None:
    """One line on how many, then a line each for the highest of those `wanted`."""
    videos = _many(len({alert.video for alert in found}), "video")
    log.info("%s in %s: %s", _many(len(found), "suspicious interval"), videos, alerts.said())
    shown = found[: min(wanted, _MOST)]
    for alert in shown:
        scores = f"highest {alert.highest:.2f}, mean {alert.mean:.2f}"
        log.info("  %s", _line(f"{alert.video}  {'-'.join(alert.times())}  {scores}  {alert.what}"))
    if wanted > len(shown):
        log.info("  and %d more: alerts.csv", wanted - len(shown))


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _line(text: str) -> str:
    """What a model or a file name says as one line that cannot move the cursor or colour the screen."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def format_error(error: Exception) -> str:
    """The message of an error without the machinery round it: hydra wraps what a component says of its own fields."""
    cause: BaseException = error
    while cause.__cause__ is not None and type(cause).__name__ == "InstantiationException":
        cause = cause.__cause__
    text = str(cause).strip()
    return text if cause is error else f"{text}\n({str(error).strip().splitlines()[-1]})"


def exit_status(error: BaseException) -> int:
    """The exit status of an error: that of the VaaError in it, 2 for a config that cannot be composed."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, VaaError):
        cause = cause.__cause__
    return cause.exit_status if isinstance(cause, VaaError) else ConfigError.exit_status
