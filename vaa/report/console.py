"""What the log shows at the end of a run: metrics, alerts, the folder, notices; and errors without internals."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from vaa.errors import ConfigError
from vaa.models.base import LLM, VLM, Encoder
from vaa.report.alerts import Alert, AlertRule
from vaa.stages.base import ModelStage, Stage

log = logging.getLogger("vaa")
_METRICS = ("roc_auc", "pr_auc", "average_precision", "within_video_auc", "f1_best")
_MAX_ALERTS = 20
_TINY_CHECKPOINTS = "vaa/tiny/checkpoints"
_TINY_CHOICES: tuple[tuple[Any, str, str, str], ...] = (
    (Encoder, "encoder", "tiny_clip", "clip_vit_b16"),
    (VLM, "vlm", "tiny", "internvl"),
    (LLM, "llm", "tiny", "llama3_1"),
)
"""Kind of model, its config group, the choice of the tiny one, a real one."""


def notices(stages: Iterable[Stage], data: str) -> list[str]:
    """Warnings that a reader of the numbers needs, for the log, W&B and the page."""
    models = [stage.model for stage in stages if isinstance(stage, ModelStage)]
    tiny = {_checkpoint(model): model for model in models if _TINY_CHECKPOINTS in _checkpoint(model)}
    if not tiny or data == "synthetic":
        return []
    real = " ".join(dict.fromkeys(_real_choice(model) for _, model in sorted(tiny.items(), reverse=True)))
    return [
        f"The built-in tiny model ({', '.join(sorted(tiny))}) was used on '{data}'. It is trained on this project's "
        f"synthetic world only: its answers about other videos mean nothing. Choose a real model, such as {real}."
    ]


def _checkpoint(model: Any) -> str:
    return str(getattr(model, "checkpoint", ""))


def _real_choice(model: Any) -> str:
    """GROUP=CHOICE of a real model in place of a tiny one."""
    _, group, _, real = next(names for names in _TINY_CHOICES if isinstance(model, names[0]))
    return f"{group}={real}"


def check_tiny_models(stages: Iterable[Stage], data: str, overrides: Sequence[str]) -> None:
    """Refuse a built-in tiny model beside a real one on other videos, unless an override asks for it by name.

    Raises:
        ConfigError: a default of the method is such a model.
    """
    models = [stage.model for stage in stages if isinstance(stage, ModelStage)]
    tiny = [model for model in models if _TINY_CHECKPOINTS in _checkpoint(model)]
    if data == "synthetic" or len(tiny) == len(models):
        return
    for model in tiny:
        group, choice, real = next(names for kind, *names in _TINY_CHOICES if isinstance(model, kind))
        named = (f"{group}={choice}", f"{group}.checkpoint=")
        if not any(override.lstrip("+").startswith(named) for override in overrides):
            raise ConfigError(
                f"{group}={choice}, the default, is trained on this project's synthetic videos only: beside a real "
                f"model its results on '{data}' mean nothing. Choose another one, such as {group}={real} (--help "
                f"{group} lists them), or give {group}={choice} to use it all the same."
            )


def log_summary(
    metrics: Mapping[str, float],
    folder: Path,
    notices: Sequence[str],
    rule: AlertRule | None,
    alerts: Sequence[Alert],
) -> None:
    """Log the metrics, the numbers of queries, the alerts, the folder and the notices."""
    for name in _METRICS:
        if name in metrics:
            log.info("%-18s %.6f", name, metrics[name])
    log.info("%d videos, %d frames, %d failed", metrics["videos"], metrics["frames"], metrics["failed"])
    log.info(
        "%d model queries, %d from the cache, %d answers unparsed",
        *(int(metrics[name]) for name in ("model_queries", "cache_hits", "unparsed")),
    )
    if rule is not None:
        _log_alerts(rule, alerts, listed=len(alerts) if "anomalous_share" not in metrics else 0)
    if "events" in metrics:
        log.info("%s", events_text(metrics))
    log.info("results: %s", folder)
    if (folder / "report.html").is_file():
        log.info("page: %s", folder / "report.html")
    for notice in notices:
        log.warning("%s", "*" * 100)
        log.warning("%s", notice)
        log.warning("%s", "*" * 100)


def _log_alerts(rule: AlertRule, alerts: Sequence[Alert], listed: int) -> None:
    """Log how many alerts there are, and the highest `listed` ones, one a line."""
    videos = _count(len({alert.video for alert in alerts}), "video")
    log.info("%s in %s (%s)", _count(len(alerts), "alert"), videos, rule.description)
    shown = alerts[: min(listed, _MAX_ALERTS)]
    for alert in shown:
        scores = f"highest {alert.highest:.2f}, mean {alert.mean:.2f}"
        text = f"{alert.definition}: {alert.text}" if alert.definition else alert.text
        log.info("  %s", _printable(f"{alert.video}  {'-'.join(alert.times())}  {scores}  {text}"))
    if listed > len(shown):
        log.info("  and %d more: alerts.csv", listed - len(shown))


def events_text(metrics: Mapping[str, float]) -> str:
    """The metrics of events as a sentence."""
    late, rate = metrics["median_delay_s"], metrics["false_alerts_per_hour"]
    text = f"{int(metrics['events_hit'])} of {_count(int(metrics['events']), 'event')}, "
    text += _count(int(metrics["false_alerts"]), "false alert")
    text += f" ({rate:.1f} per hour)" if isfinite(rate) else ""
    return text + (f", {late:.1f} s late (median)" if isfinite(late) else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _printable(text: str) -> str:
    """Text of a model or a file name as one line, without control characters that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)
