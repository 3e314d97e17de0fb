"""A table in the form that is asked for: terminal, Markdown, LaTeX, CSV, a page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vaa.errors import VaaError

FORMATS = ("table", "markdown", "latex", "csv", "html")
_SUFFIXES = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html", ".htm": "html", ".txt": "table"}
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"$^\dagger$",
    "Δ": r"$\Delta$",
}


@dataclass(frozen=True)
class Cell:
    """What stands in a table, bold where it is the best of its column; `picture` is an SVG that a page shows below."""

    text: str
    best: bool = False
    picture: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table to be read: `numeric` says which columns are set to the right. `plain` is the same for programs.

    `legend` names the two lines of its pictures.
    """

    title: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    plain: tuple[tuple[str | float | None, ...], ...] = field(repr=False)
    legend: tuple[str, ...] = ()


def chosen(name: str | None, file: Path | None) -> str:
    """The format by its name, else by the file's suffix, else the terminal's.

    Raises:
        VaaError: there is no such format, or the suffix tells of none.
    """
    if name is not None:
        return name
    if file is None:
        return "table"
    if file.suffix.lower() not in _SUFFIXES:
        raise VaaError(f"--out {file}: its suffix tells of no format. Use {', '.join(_SUFFIXES)}, or give --format.")
    return _SUFFIXES[file.suffix.lower()]


def written(sheet: Sheet, form: str, colour: bool = False) -> str:
    """The table as text in one of FORMATS; only the page shows pictures. `colour`: with the terminal's codes."""
    if form == "table":
        return _terminal(sheet, colour)
    return {"markdown": _markdown, "latex": _latex, "csv": _csv, "html": _html}[form](sheet)


def _terminal(sheet: Sheet, colour: bool) -> str:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, numeric in zip(sheet.header, sheet.numeric, strict=True):
        table.add_column(escape(title), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in sheet.rows:
        cells = (escape(cell.text) for cell in row)
        table.add_row(*(f"[bold]{text}[/bold]" if cell.best else text for text, cell in zip(cells, row, strict=True)))
    text = io.StringIO()
    console = Console(file=text, force_terminal=colour, color_system="auto", width=None if colour else 240)
    console.print(table)
    for note in sheet.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _markdown(sheet: Sheet) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def said(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

    body = [line([f"**{said(c.text)}**" if c.best else said(c.text) for c in row]) for row in sheet.rows]
    rule = line(["---:" if numeric else "---" for numeric in sheet.numeric])
    notes = "\n\n".join(said(note) for note in sheet.notes)
    return "\n".join([line([said(title) for title in sheet.header]), rule, *body, "", notes, ""])


def _latex(sheet: Sheet) -> str:
    """For the package booktabs."""

    def said(text: str) -> str:
        signs = "".join(_LATEX.get(sign, sign) for sign in text)
        return re.sub(r"(?<![^\s\[])-(?=\d)", "$-$", signs)

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(cells)} \\\\"

    body = [line([f"\\textbf{{{said(c.text)}}}" if c.best else said(c.text) for c in row]) for row in sheet.rows]
    columns = "".join("r" if numeric else "l" for numeric in sheet.numeric)
    notes = [f"% {note}" for note in sheet.notes]
    top = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", line([said(t) for t in sheet.header]), r"\midrule"]
    return "\n".join([*notes, *top, *body, r"\bottomrule", r"\end{tabular}", ""])


def _csv(sheet: Sheet) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sheet.plain)
    return text.getvalue()


def _html(sheet: Sheet) -> str:
    """One file that needs nothing else."""
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    return pages.get_template("page.html.j2").render(sheet=sheet, columns=range(len(sheet.header)))
