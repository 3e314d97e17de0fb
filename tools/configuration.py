"""The configuration reference in Markdown, from conf/: every group, its choices, their comments and fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from vaa.choices import GROUPS

COMMENT = re.compile(r"\s+# ?(.*)$")


@dataclass(frozen=True)
class Field:
    """A dotted key, its value as written, and the comment on the same line."""

    key: str
    value: str
    comment: str


def choices(conf: Path) -> dict[str, list[Path]]:
    """Group -> its files; the groups of the help page come first."""
    folders = {folder.name: folder for folder in sorted(conf.iterdir()) if folder.is_dir()}
    order = [*(name for name in GROUPS if name in folders), *(name for name in folders if name not in GROUPS)]
    return {name: sorted(folders[name].rglob("*.yaml")) for name in order}


def description(text: str) -> list[str]:
    """The comment at the top of a file, without Hydra's `@package` line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").removeprefix(" "))
    return lines


def fields(text: str) -> list[Field]:
    """Every key of a yaml file that has a value."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return list(_fields(root, text, text.splitlines(), prefix="")) if isinstance(root, yaml.MappingNode) else []


def _fields(node: yaml.MappingNode, text: str, lines: list[str], prefix: str) -> Iterator[Field]:
    for key, value in node.value:
        name = f"{prefix}.{key.value}".strip(".")
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            if comment := _comment_after(lines, key.end_mark):
                yield Field(name, "", comment)
            yield from _fields(value, text, lines, name)
        elif isinstance(value, yaml.ScalarNode) and value.style in ("|", ">"):
            yield Field(name, value.value, "")
        else:
            written = text[value.start_mark.index : value.end_mark.index]
            block = isinstance(value, yaml.SequenceNode) and not value.flow_style
            yield Field(name, written.strip(), "" if block else _comment_after(lines, value.end_mark))


def _comment_after(lines: list[str], mark: yaml.Mark) -> str:
    """The comment after a mark, on the same line."""
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    match = COMMENT.search(rest)
    return match[1] if match else ""


def configuration_page(conf: Path) -> str:
    """The whole page."""
    lines = [
        "# Configuration reference",
        "",
        "Generated from `conf/`. Every folder there is a config group, every file in it a choice. `GROUP=NAME` selects",
        "a choice, `GROUP.FIELD=VALUE` sets a field of it. A method uses only the groups that its own file lists.",
        "`python run.py --cfg job` prints the composed config of a command line.",
        "",
        "## config",
        "",
        "The default choices, and the settings that belong to no group.",
        "",
        *choice_section(conf / "config.yaml", "config.yaml"),
    ]
    for group, files in choices(conf).items():
        about = GROUPS.get(group, "")
        lines += [f"## {group}", "", f"{about[:1].upper()}{about[1:]}.", ""]
        for file in files:
            lines += [f"### {group}={file.stem}", "", *choice_section(file, file.relative_to(conf).as_posix())]
    return "\n".join(lines)


def choice_section(file: Path, name: str) -> Iterator[str]:
    """The lines of a choice: its description, class, defaults and fields."""
    text = file.read_text(encoding="utf-8")
    yield from (_comment(line) for line in description(text))
    yield from ("", f"`conf/{name}`")
    all_fields = fields(text)
    target = next((field.value for field in all_fields if field.key == "_target_"), None)
    if target:
        yield from ("", f"Class: [`{target}`][{target}]")
    for field in all_fields:
        if field.key == "defaults":
            yield from ("", "Defaults:", "", *(f"- {_code(line.strip(' -'))}" for line in field.value.splitlines()))
    rows = [field for field in all_fields if field.key not in ("defaults", "_target_")]
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
    """A line of a comment; commands, which are indented in the files, become code."""
    return f"\n    {line.strip()}\n" if line.startswith("  ") else line


def _code(value: str) -> str:
    """A value as code in a table cell, with backticks and bars escaped."""
    fence = "``" if "`" in value else "`"
    pad = " " if "`" in value else ""
    return f"{fence}{pad}{value.replace('|', chr(92) + '|')}{pad}{fence}" if value else ""
