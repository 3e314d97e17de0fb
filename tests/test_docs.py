"""The documentation: the steps of the how-tos work, links resolve, and the site builds without a warning."""

from __future__ import annotations

import importlib
import json
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
NOT_COPIED = (".*", "outputs", "multirun", "wandb", "site", "__pycache__", "*.egg-info")
GENERATED = ("docs/reference/", "docs/changelog.md")
PAGES = {
    name: page
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    if not (name := page.relative_to(ROOT).as_posix()).startswith(GENERATED)
}
CONF = {file.relative_to(ROOT / "conf").as_posix(): file for file in sorted((ROOT / "conf").rglob("*.yaml"))}
STEP = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\]\(([^)#:\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """The generated pages, by path under docs/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        return dict(importlib.import_module("pages").pages(ROOT))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A copy of the checkout, like a new clone."""
    copy = Path(shutil.copytree(ROOT, tmp_path / "vaa", ignore=shutil.ignore_patterns(*NOT_COPIED)))
    shutil.rmtree(copy / "docs/reference", ignore_errors=True)
    return copy


def shell(command: str, folder: Path) -> str:
    """The output of a command run in the copy, with this interpreter, the copy's vaa and no network."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
        "WANDB_MODE": "disabled",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    }
    args = ["bash", "-euo", "pipefail", "-c", command]
    process = subprocess.run(
        args, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert process.returncode == 0, f"{command}\n{process.stdout}{process.stderr}"
    return process.stdout + process.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "expected"),
    [
        pytest.param(
            "prompt",
            ["20 model queries, 0 from the cache, 0 answers unparsed"] * 4 + ["4 passed"],
            marks=pytest.mark.long,
        ),
        pytest.param("data", ["", "3 videos, 900 frames, 0 failed", "passed"], marks=pytest.mark.long),
        ("method", ["20 model queries, 0 from the cache", "0 model queries, 20 from the cache", "passed", "2 passed"]),
        pytest.param("metric", ["", '"score_gap":', "passed"], marks=pytest.mark.long),
    ],
)
def test_the_steps_of_a_how_to_work(page: str, expected: list[str], scratch: Path) -> None:
    """Blocks with a title are written to that file, blocks of `sh` are run, in the order of the page."""
    outputs = []
    for language, title, content in STEP.findall((scratch / f"docs/how-to/{page}.md").read_text(encoding="utf-8")):
        if title:
            assert not (scratch / title).exists(), f"{title} would be overwritten"
            (scratch / title).write_text(content, encoding="utf-8")
        elif language == "sh":
            outputs.append(shell(content, scratch))
    for output, text in zip(outputs, expected, strict=True):
        assert text in output


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with the command `vaa` as pip installs it."""
    program, folder = tmp_path / "bin/vaa", tmp_path / "empty"
    for parent in (program.parent, folder):
        parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom vaa.command import main\n\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_own_parts_are_used_from_a_folder_that_is_no_clone(empty: Path) -> None:
    pytest.importorskip("ray")
    outputs = []
    for language, title, content in STEP.findall((ROOT / "docs/how-to/own.md").read_text(encoding="utf-8")):
        if title:
            (empty / title).parent.mkdir(parents=True, exist_ok=True)
            (empty / title).write_text(content, encoding="utf-8")
        elif language == "sh":
            done = subprocess.run(["bash", "-ec", content], capture_output=True, text=True, check=False, timeout=900)
            assert done.returncode == 0, done.stdout + done.stderr
            outputs.append(done.stdout + done.stderr)
    first, second, models = outputs
    assert "above_median  Scores relative to the video's median." in first
    assert "2 videos, 400 frames, 0 failed" in first
    assert "1 videos, 200 frames, 0 failed" in second
    assert "engine=ray: " in models
    scores = [sorted(file.read_text() for file in run.glob("scores/*")) for run in (empty / "outputs/plain").iterdir()]
    assert len(scores) == 2
    assert scores[0] == scores[1]
    assert len(set(scores[0])) == 2


@pytest.mark.slow
def test_the_notebook_and_the_examples_of_the_python_page_run(
    empty: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook's cells in order, then the page's blocks; the page's loads what the notebook has run."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = json.loads((ROOT / "docs/notebooks/sweep.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), "sweep.ipynb", "exec"), names)
    assert names["runs"].runs["roc_auc"].notna().tolist() == [True] * 4
    shutil.copy(clip, empty / "clip.mp4")
    for language, _, content in STEP.findall((ROOT / "docs/python.md").read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(content, "python.md", "exec"), names)
    assert names["report"].video.id == "clip"


@pytest.mark.slow
def test_the_code_of_all_how_tos_passes_the_linters(scratch: Path) -> None:
    files = []
    for page in sorted((scratch / "docs/how-to").glob("*.md")):
        for _, title, content in STEP.findall(page.read_text(encoding="utf-8")):
            if title.endswith(".py") and not title.startswith("make_"):
                (scratch / title).write_text(content, encoding="utf-8")
                files.append(title)
    assert len(files) >= 5
    names = " ".join(files)
    shell(f"ruff format --check {names} && ruff check {names} && mypy {names}", scratch)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, by the rule that the repository's web view and the site share."""
    headings = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading) for heading in HEADING.findall(FENCE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_lead_to_a_file_and_a_heading(name: str) -> None:
    """Pages of docs/ link only within docs/ (the site) and not to generated pages (not in the web view)."""
    page = PAGES[name]
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in LINK.findall(text):
        path = Path(os.path.normpath(page.parent / target)) if target else page
        assert path.exists(), f"{name}: {target}"
        relative = path.relative_to(ROOT).as_posix()
        assert not relative.startswith(GENERATED), f"{name}: {target} is generated"
        assert relative.startswith("docs/") or not name.startswith("docs/"), f"{name}: {target} is not in the site"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{name}: {target}#{anchor}"
    assert not [anchor for anchor in anchors(text) if "--" in anchor], f"{name}: the site has another anchor"


def test_the_architecture_page_shows_the_tree_as_it_is() -> None:
    text = PAGES["docs/architecture.md"].read_text(encoding="utf-8")
    shown, folders = set(), [""]
    for line in text.partition("\nvaa/\n")[2].partition("\n\n")[0].splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        if not depth:
            break
        folders = [*folders[:depth], folders[depth - 1] + name]
        if not name.endswith("/"):
            shown.add(folders[depth])
    files = {file.relative_to(ROOT / "vaa").as_posix() for file in (ROOT / "vaa").rglob("*.py")}
    assert shown == {file for file in files if not Path(file).name.startswith("__")}


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_loads_nothing_external(scratch: Path, generated: dict[str, str]) -> None:
    commands = re.findall(r"^\t\$\(BIN\)/(.+)$", (scratch / "Makefile").read_text().split("\ndocs:")[1], re.MULTILINE)
    output = shell(" && ".join(commands[:2]), scratch)
    assert "No issues found" in output, output
    for page in [name for name in PAGES if name.startswith("docs/")] + [f"docs/{name}" for name in generated]:
        text = (scratch / page.replace("docs", "site", 1)).with_suffix(".html").read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', text), page
    assert (
        'href="api/prompts.html#vaa.prompts.template.Prompt"'
        in (scratch / "site/reference/configuration.html").read_text()
    )
    assert "that fits its frames best" in (scratch / "site/reference/api/stages.html").read_text()


def leaves(config: Any, prefix: str = "") -> list[str]:
    """The dotted path of every value."""
    if not isinstance(config, Mapping) or not config:
        return [prefix]
    return [name for key, value in config.items() for name in leaves(value, f"{prefix}.{key}".strip("."))]


@pytest.mark.parametrize("name", CONF)
def test_the_reference_has_every_choice_field_and_comment(name: str, generated: dict[str, str]) -> None:
    page, text = generated["reference/configuration.md"], CONF[name].read_text(encoding="utf-8")
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


def test_the_reference_has_every_module(generated: dict[str, str]) -> None:
    shown = {name for content in generated.values() for name in re.findall(r"^::: (\S+)$", content, re.M)}
    files = [file.relative_to(ROOT).with_suffix("").as_posix() for file in (ROOT / "vaa").rglob("*.py")]
    assert shown == {file.replace("/", ".").removesuffix(".__init__") for file in files}
