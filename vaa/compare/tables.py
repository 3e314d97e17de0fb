"""A table as text (terminal, Markdown, LaTeX, CSV or HTML), and the command line of the commands that write one."""

from __future__ import annotations

import argparse
import csv
import io
import math
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from vaa.errors import ConfigError, OutputError, VaaError
from vaa.report.files import write_bytes

_TERMINAL_WIDTH = 100
_MAX_TEXT = 36
"""Columns of a terminal that is not known, and of a text before it is folded."""
_NO_VALUE = ("-", "none", "without", "")
FORMATS = ("table", "markdown", "latex", "csv", "html")
_FORMAT_OF_SUFFIX = {
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".html": "html",
    ".htm": "html",
    ".txt": "table",
}
_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"$^\dagger$",
    "Δ": r"$\Delta$",
}
Value = str | float | None


@dataclass(frozen=True)
class Cell:
    """The text of a table's cell, bold if `best`; `svg` is a picture that HTML shows below the row.

    `link` is a file that the terminal links to.
    """

    text: str
    best: bool = False
    svg: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """Rows to be read, and the same values unformatted in `records` (a header, then rows) for CSV.

    `numeric` columns are aligned to the right. `legend` names the two curves of the pictures.
    """

    title: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    records: tuple[tuple[Value, ...], ...] = field(repr=False)
    legend: tuple[str, ...] = ()


def add_table_options(parser: argparse.ArgumentParser, seed_help: str = "of the resamples (0)") -> None:
    """Add the options that every command with a table has."""
    parser.add_argument("--format", choices=FORMATS, help="default: by the suffix of --out, else table")
    parser.add_argument("--out", type=Path, help="write to this file: .md, .tex, .csv, .html, .txt")
    parser.add_argument("--resamples", type=int, default=1000, help="resamples of the videos for the intervals (1000)")
    parser.add_argument("--seed", type=int, default=0, help=seed_help)
    parser.add_argument("--digits", type=int, default=4, help="decimals of the numbers, except in CSV (4)")


def write_table(make: Callable[[argparse.Namespace], Table], args: argparse.Namespace) -> int:
    """Make the table, print or save it, print the message of an error; returns the exit status."""
    try:
        if args.resamples < 0 or args.digits < 0:
            raise ConfigError(f"--resamples {args.resamples}, --digits {args.digits}: neither can be negative.")
        output_format = choose_format(args.format, args.out)
        text = render(make(args), output_format, colour=args.out is None and sys.stdout.isatty())
        _write(args.out, text)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def choose_format(name: str | None, file: Path | None) -> str:
    """The format `name`, else the one of the file's suffix, else the terminal's.

    Raises:
        ConfigError: the suffix belongs to no format.
    """
    if name is not None:
        return name
    if file is None:
        return "table"
    if file.suffix.lower() not in _FORMAT_OF_SUFFIX:
        raise ConfigError(f"--out {file}: unknown suffix. Use {', '.join(_FORMAT_OF_SUFFIX)}, or give --format.")
    return _FORMAT_OF_SUFFIX[file.suffix.lower()]


def _write(file: Path | None, text: str) -> None:
    try:
        if file is None:
            sys.stdout.write(text)
        else:
            write_bytes(file, text.encode())
    except OSError as error:
        raise OutputError(f"--out {file}: cannot be written ({error}).") from error


def render(table: Table, output_format: str, colour: bool = False) -> str:
    """The table in one of FORMATS; `colour`: with the terminal's escape codes."""
    if output_format == "table":
        return _terminal(table, colour)
    return {"markdown": _markdown, "latex": _latex, "csv": _csv, "html": _html}[output_format](table)


def format_number(value: float | None, digits: int, sign: str = "") -> str:
    """A number with this many decimals, an int without; "-" where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:{sign}.{digits}f}"


def csv_value(value: float | None) -> float | None:
    """None in place of NaN: an empty field."""
    return None if value is None or math.isnan(value) else value


def _terminal(table: Table, colour: bool) -> str:
    """The table within the width of the terminal, or 100 columns: in blocks of columns that each begin with the first.

    Long texts are folded. A folder that all values of a column share is in the column's title instead. Files are links;
    without escape codes their paths are listed below.
    """
    width = shutil.get_terminal_size((_TERMINAL_WIDTH, 24)).columns
    titles, columns = list(table.header), [[row[k] for row in table.rows] for k in range(len(table.header))]
    for k, numeric in enumerate(table.numeric):
        folder = "" if numeric or not k else _common_folder([cell.text for cell in columns[k]])
        if folder:
            titles[k] = f"{titles[k]}\nin {folder}"
            columns[k] = [replace(cell, text=cell.text.removeprefix(folder)) for cell in columns[k]]
    text = io.StringIO()
    console = Console(file=text, force_terminal=colour, color_system="auto", width=width)
    widths = _widths(titles, columns)
    for number, block in enumerate(_blocks(titles, widths, width)):
        spare = max(0, width - _total(block, widths))
        grid = RichTable(box=None, pad_edge=False, header_style="bold")
        for k in block:
            justify: Literal["right", "left"] = "right" if table.numeric[k] else "left"
            grid.add_column(escape(titles[k]), justify=justify, overflow="fold", max_width=widths[k] + spare)
        for cells in zip(*(columns[k] for k in block), strict=True):
            grid.add_row(*(_rich(cell, colour) for cell in cells))
        if number:
            console.print()
        console.print(grid)
    for note in table.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    if not colour:
        for row in table.rows:
            for cell in (cell for cell in row if cell.link):
                console.print(f"{cell.text}: {cell.link}", markup=False, highlight=False, soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _rich(cell: Cell, colour: bool) -> str:
    """The markup of a cell."""
    text = f"[bold]{escape(cell.text)}[/bold]" if cell.best else escape(cell.text)
    return f"[link={Path(cell.link).resolve().as_uri()}]{text}[/link]" if cell.link and colour else text


def _widths(titles: Sequence[str], columns: Sequence[Sequence[Cell]]) -> list[int]:
    """The widths of the columns: at most `_MAX_TEXT`, so that longer texts are folded."""
    texts = [[title, *(cell.text for cell in column)] for title, column in zip(titles, columns, strict=True)]
    return [min(_MAX_TEXT, max(len(line) for text in column for line in text.split("\n"))) for column in texts]


def _total(block: Sequence[int], widths: Sequence[int]) -> int:
    """The width of columns with two spaces between them."""
    return sum(widths[k] + 2 for k in block) - 2


def _blocks(titles: Sequence[str], widths: Sequence[int], width: int) -> list[list[int]]:
    """Columns, by number, that fit beside each other; the first is in each, a difference stays beside its metric."""
    groups: list[list[int]] = []
    for k in range(1, len(titles)):
        if titles[k].startswith("Δ") and groups:
            groups[-1].append(k)
        else:
            groups.append([k])
    blocks = [[0]]
    for group in groups:
        if _total([*blocks[-1], *group], widths) > width and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1] += group
    return blocks


def _common_folder(texts: Sequence[str]) -> str:
    """The folder that all these paths are in, with its separator; "" where there is none or a text is not a path."""
    paths = {text for text in texts if text not in _NO_VALUE}
    shared = ""
    for names in zip(*(path.split("/")[:-1] for path in paths), strict=False):
        if len(paths) < 2 or len(set(names)) > 1:
            break
        shared += f"{names[0]}/"
    return shared


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

    body = [line([f"**{escaped(c.text)}**" if c.best else escaped(c.text) for c in row]) for row in table.rows]
    rule = line(["---:" if numeric else "---" for numeric in table.numeric])
    notes = "\n\n".join(escaped(note) for note in table.notes)
    return "\n".join([line([escaped(title) for title in table.header]), rule, *body, "", notes, ""])


def _latex(table: Table) -> str:
    """A tabular for the package booktabs."""

    def escaped(text: str) -> str:
        return re.sub(r"(?<![^\s\[])-(?=\d)", "$-$", "".join(_LATEX.get(char, char) for char in text))

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(cells)} \\\\"

    body = [line([f"\\textbf{{{escaped(c.text)}}}" if c.best else escaped(c.text) for c in row]) for row in table.rows]
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    notes = [f"% {note}" for note in table.notes]
    top = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", line([escaped(t) for t in table.header]), r"\midrule"]
    return "\n".join([*notes, *top, *body, r"\bottomrule", r"\end{tabular}", ""])


def _csv(table: Table) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table.records)
    return text.getvalue()


def _html(table: Table) -> str:
    """One file without references to others."""
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    return templates.get_template("page.html.j2").render(table=table, columns=range(len(table.header)))
