from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import WAIT

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for the module, with an empty profile."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright, for the tests in a browser")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium here: apt-get install chromium, for the tests of the page in a browser")
    with sync_api.sync_playwright() as playwright:
        profile = tmp_path_factory.mktemp("profile")
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=chromium, headless=True, args=FLAGS.split(), timeout=WAIT
        )
        context.set_default_timeout(WAIT)
        yield context
        context.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A new tab, in which nothing may be written to the console as an error."""
    page, errors = browser.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": 1280, "height": 900})
    yield page
    page.close()
    assert errors == []
