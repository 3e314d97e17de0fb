"""The alert rule of conf/config.yaml, with other fields where a test gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from vaa.process import PROJECT_ROOT
from vaa.report.alerts import AlertRule


def alert_rule(**fields: Any) -> AlertRule:
    """The rule with the defaults of a run for the fields that are not given."""
    defaults = yaml.safe_load(Path(PROJECT_ROOT / "conf/config.yaml").read_text(encoding="utf-8"))["alerts"]
    del defaults["_target_"]
    return AlertRule(**{**defaults, **fields})
