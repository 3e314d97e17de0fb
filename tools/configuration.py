"""conf/ as a page of Markdown: every group, every choice, its comment, its fields with their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

GROUPS = {
    "method": "A named, ordered set of stages.",
    "data": "A data set.",
    "vlm": "Who answers questions about frames.",
    "llm": "Who answers questions without frames.",
    "encoder": "Who embeds frames and texts into one space.",
    "engine": "Where models run.",
    "refinement": "What the whole video says about each segment's score.",
    "window": "A video as segments, and the frames of each that a model is shown.",
    "prompt": "What is asked, and how the answer is read.",
    "protocol": "A paper's way of counting: whose labels, which ends, which AP.",
    "experiment": "A published row, or one that beats it: overrides, with the expected number.",
}
"""Those known when this was written come first; any other folder of conf/ gets its section too."""
COMMENT = re.compile(r"\s+# ?(.*)$")


@dataclass(frozen=True)
class Field:
    """A key with its place, its value as written, and the comment beside it."""

    key: str
    value: str
    comment: str


def choices(conf: Path) -> dict[str, list[Path]]:
    """Group -> its files, the known groups first."""
    folders = {folder.name: folder for folder in sorted(conf.iterdir()) if folder.is_dir()}
    order = [*(name for name in GROUPS if name in folders), *(name for name in folders if name not in GROUPS)]
    return {name: sorted(folders[name].rglob("*.yaml")) for name in order}


def description(text: str) -> list[str]:
    """The comment that a file begins with, without Hydra's own line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").removeprefix(" "))
    return lines


def fields(text: str) -> list[Field]:
    """Every key of a yaml that holds a value, by its dotted path."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return list(_fields(root, text, text.splitlines(), "")) if isinstance(root, yaml.MappingNode) else []


def _fields(node: yaml.MappingNode, text: str, lines: list[str], where: str) -> Iterator[Field]:
    for key, value in node.value:
        place = f"{where}.{key.value}".strip(".")
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            if beside := _beside(lines, key.end_mark):
                yield Field(place, "", beside)
            yield from _fields(value, text, lines, place)
        elif isinstance(value, yaml.ScalarNode) and value.style in ("|", ">"):
            yield Field(place, value.value, "")
        else:
            written = text[value.start_mark.index : value.end_mark.index]
            block = isinstance(value, yaml.SequenceNode) and not value.flow_style
            yield Field(place, written.strip(), "" if block else _beside(lines, value.end_mark))


def _beside(lines: list[str], mark: yaml.Mark) -> str:
    """The comment that follows on the same line."""
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    found = COMMENT.search(rest)
    return found[1] if found else ""


def configuration(conf: Path) -> str:
    """The page of the configuration reference."""
    lines = [
        "# Configuration reference",
        "",
        "Made from `conf/`. Every group is a folder there, every choice a file. `GROUP=NAME` takes a choice,",
        "`GROUP.FIELD=VALUE` changes a field of it. A method has only the groups that its own file lists.",
        "`python run.py --cfg job` shows what a command line comes to.",
        "",
        "## config",
        "",
        "What a run is composed of, and what is no choice but a value.",
        "",
        *choice(conf / "config.yaml", "config.yaml"),
    ]
    for group, files in choices(conf).items():
        lines += [f"## {group}", "", GROUPS.get(group, ""), ""]
        for file in files:
            lines += [f"### {group}={file.stem}", "", *choice(file, file.relative_to(conf).as_posix())]
    return "\n".join(lines)


def choice(file: Path, name: str) -> Iterator[str]:
    """A choice as Markdown: what it is, its class, what it builds on, its fields."""
    text = file.read_text(encoding="utf-8")
    told = description(text)
    yield from (_comment(line) for line in told)
    yield from ("", f"`conf/{name}`")
    found = fields(text)
    target = next((field.value for field in found if field.key == "_target_"), None)
    if target:
        yield from ("", f"Class: [`{target}`][{target}]")
    for field in found:
        if field.key == "defaults":
            yield from ("", "Builds on:", "", *(f"- {_code(line.strip(' -'))}" for line in field.value.splitlines()))
    rows = [field for field in found if field.key not in ("defaults", "_target_")]
    if rows:
        yield from ("", "| field | value | |", "|---|---|---|")
    for field in rows:
        value = "below" if "\n" in field.value else _code(field.value)
        yield f"| `{field.key}` | {value} | {field.comment.replace('|', chr(92) + '|')} |"
    for field in rows:
        if "\n" in field.value:
            yield from ("", f"`{field.key}`:", "", "````text", field.value.rstrip("\n"), "````")
    yield ""


def _comment(line: str) -> str:
    """A command stands indented in the files; as code it stays as it is, in a line of its own."""
    return f"\n    {line.strip()}\n" if line.startswith("  ") else line


def _code(value: str) -> str:
    """A value as code in a cell; backticks and bars in it do no harm."""
    fence = "``" if "`" in value else "`"
    pad = " " if "`" in value else ""
    return f"{fence}{pad}{value.replace('|', chr(92) + '|')}{pad}{fence}" if value else ""
