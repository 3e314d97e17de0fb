"""The end of a run: its suspicious intervals, its page, and what the screen says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report import console
from vaa.report.alerts import Alerts
from vaa.report.page.build import Page
from vaa.report.runs import Run


def finish(
    folder: Path,
    result: RunResult,
    protocol: Protocol,
    metrics: Mapping[str, float],
    alerts: Alerts | None,
    page: Page | bool | None,
) -> None:
    """Write the alerts and the page, unless there are to be none, of a run whose files are written; then say it all."""
    run = Run(folder)
    found = alerts.write(folder, result.reports.values(), protocol) if alerts is not None else []
    if isinstance(page, Page):
        page.write(run)
    console.show(metrics, folder, run.notices, alerts, found)
