"""The documentation: its steps work when followed, its links lead somewhere, its site builds without a warning."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOT_OURS = (".*", "outputs", "multirun", "wandb", "site", "__pycache__", "*.egg-info")
MADE = ("docs/reference/", "docs/changelog.md")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = {name: page for page in PAGES if not (name := page.relative_to(ROOT).as_posix()).startswith(MADE)}
CONF = {file.relative_to(ROOT / "conf").as_posix(): file for file in sorted((ROOT / "conf").rglob("*.yaml"))}
STEP = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\]\(([^)#:\s]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Every page that is made and not written, by its path under docs/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        return dict(importlib.import_module("pages").pages(ROOT))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A copy of the checkout, as somebody has it who has just cloned it."""
    copy = Path(shutil.copytree(ROOT, tmp_path / "vaa", ignore=shutil.ignore_patterns(*NOT_OURS)))
    shutil.rmtree(copy / "docs/reference", ignore_errors=True)
    return copy


def shell(command: str, folder: Path) -> str:
    """What the command says, run in the copy with this interpreter and the copy's own vaa, and no network."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
        "WANDB_MODE": "disabled",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    }
    steps = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(steps, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("prompt", ["20 questions asked, 0 remembered, 0 answers unread"] * 2 + ["4 passed"]),
        ("data", ["", "3 videos, 900 frames, 0 failed", "passed"]),
        ("method", ["20 questions asked, 0 remembered", "0 questions asked, 20 remembered", "passed", "2 passed"]),
    ],
)
def test_a_newcomer_follows_the_steps(page: str, says: list[str], scratch: Path) -> None:
    """Files are written where their titles say; every block of `sh` is run, in the order of the page."""
    said, code = [], []
    for language, title, content in STEP.findall((scratch / f"docs/how-to/{page}.md").read_text(encoding="utf-8")):
        if title:
            assert not (scratch / title).exists(), f"{title} would be overwritten"
            (scratch / title).write_text(content, encoding="utf-8")
            code += [title] if title.startswith(("vaa/", "tests/")) else []
        elif language == "sh":
            said.append(shell(content, scratch))
    for words, expected in zip(said, says, strict=True):
        assert expected in words
    if code:
        files = " ".join(code)
        shell(f"ruff format --check {files} && ruff check {files} && mypy {files}", scratch)


@pytest.mark.parametrize("name", WRITTEN)
def test_links_lead_somewhere(name: str) -> None:
    """Anchors within the site are checked where it is built."""
    for target in LINK.findall(WRITTEN[name].read_text(encoding="utf-8")):
        place = Path(os.path.normpath((WRITTEN[name].parent / target).relative_to(ROOT)))
        assert (ROOT / place).exists() or place.as_posix().startswith(MADE), f"{name}: {target}"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(scratch: Path, made: dict[str, str]) -> None:
    commands = re.findall(r"^\t\$\(BIN\)/(.+)$", (scratch / "Makefile").read_text().split("\ndocs:")[1], re.MULTILINE)
    said = shell(" && ".join(commands[:2]), scratch)
    assert "No issues found" in said, said
    for page in [name for name in WRITTEN if name.startswith("docs/")] + [f"docs/{name}" for name in made]:
        text = (scratch / page.replace("docs", "site", 1)).with_suffix(".html").read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', text), page
    assert (
        'href="api/vaa.html#vaa.prompts.template.Prompt"' in (scratch / "site/reference/configuration.html").read_text()
    )
    assert "Give each segment the best-fitting response" in (scratch / "site/reference/api/stages.html").read_text()


def leaves(config: Any, where: str = "") -> list[str]:
    """The dotted path of every value; `defaults` and `_target_` at the top are told in words."""
    if not isinstance(config, Mapping) or not config:
        return [where]
    return [name for key, value in config.items() for name in leaves(value, f"{where}.{key}".strip("."))]


@pytest.mark.parametrize("name", CONF)
def test_every_choice_is_in_the_reference_with_every_field_and_comment(name: str, made: dict[str, str]) -> None:
    page, text = made["reference/configuration.md"], CONF[name].read_text(encoding="utf-8")
    group, _, choice = name.removesuffix(".yaml").rpartition("/")
    _, heading, rest = page.partition(f"\n### {group}={choice}\n" if group else "\n## config\n")
    assert heading
    section = re.split(r"\n#{2,3} ", rest)[0]
    assert f"`conf/{name}`" in section
    for path in leaves(yaml.safe_load(text)):
        parents = [path.rsplit(".", depth)[0] for depth in range(path.count(".") + 1)]  # {a: 1} is one value
        assert path in ("defaults", "_target_") or any(f"| `{p}` |" in section for p in parents), path
    for comment in re.findall(r"^# (?!@package)\s*(.+)$|\S +# (.+)$", text, re.MULTILINE):
        assert "".join(comment).replace("|", "\\|") in section.replace("\n", " ") or "".join(comment) in section


def test_every_module_is_in_the_reference(made: dict[str, str]) -> None:
    shown = {name for content in made.values() for name in re.findall(r"^::: (\S+)$", content, re.M)}
    files = [file.relative_to(ROOT).with_suffix("").as_posix() for file in (ROOT / "vaa").rglob("*.py")]
    assert shown == {file.replace("/", ".").removesuffix(".__init__") for file in files}
