"""The page of a run in a browser: waiting for what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

WAIT = 180_000  # milliseconds; a busy machine is slow


def opened(tab: Any, folder: Path, hash_: str = "") -> None:
    tab.goto((folder / "report.html").resolve().as_uri() + hash_)
    tab.wait_for_selector(".plot .main-svg" if hash_ else ".figures .main-svg, .videos")


def wait_until(tab: Any, expression: str) -> None:
    """Wait until an expression is true; Playwright's wait_for_function uses eval, which the page's policy forbids."""
    for _ in range(WAIT // 50):
        if tab.evaluate(f"!!({expression})"):
            return
        tab.wait_for_timeout(50)
    pytest.fail(f"still false: {expression}")
