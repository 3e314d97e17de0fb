"""The answer as a table; what was chosen on the labels it is counted by carries a mark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vaa.compare.comparison import STANDARD, Delta
from vaa.compare.formats import Cell, Sheet
from vaa.tune.answer import HERE, TunedRow

MARK = "‡"


def sheet(rows: Sequence[TunedRow], tried: int, rule: str, intervals: str, digits: int) -> Sheet:
    """The table of these rows; `tried` settings were compared by `rule`."""
    header = ("data", "setting", "chosen", *(title for name in STANDARD for title in (name, "Δ [95 %]")))
    numeric = (False, False, False, *(True for _ in header[3:]))
    notes = [f"{tried} settings, the run as it is among them; the best {rule} is taken.", intervals]
    if any(not row.fair for row in rows):
        notes.append(f"{MARK} {HERE}: too high, since this number is the reason for its setting. Do not report it.")
    plain = (_head(), *(_plain(row) for row in rows))
    return Sheet("Settings chosen", header, numeric, tuple(_cells(row, digits) for row in rows), tuple(notes), plain)


def _cells(row: TunedRow, digits: int) -> tuple[Cell, ...]:
    cells = [Cell(row.data), Cell(row.setting), Cell(row.chosen if row.fair else f"{row.chosen} {MARK}")]
    for name in STANDARD:
        cells += [Cell(f"{row.values[name]:.{digits}f}"), Cell(_said(row.deltas.get(name), digits))]
    return tuple(cells)


def _said(delta: Delta | None, digits: int) -> str:
    if delta is None or math.isnan(delta.value):
        return ""
    sure = "" if math.isnan(delta.low) else f" [{delta.low:+.{digits}f}, {delta.high:+.{digits}f}]"
    return f"{delta.value:+.{digits}f}{sure}"


def _head() -> tuple[str, ...]:
    return (
        "data",
        "setting",
        "chosen",
        "fair",
        *(f"{n}{end}" for n in STANDARD for end in ("", "_delta", "_low", "_high")),
    )


def _plain(row: TunedRow) -> tuple[str | float | None, ...]:
    found: list[str | float | None] = [row.data, row.setting, row.chosen, "yes" if row.fair else "no"]
    for name in STANDARD:
        found += _known(row.values, name, row.deltas.get(name))
    return tuple(found)


def _known(values: Mapping[str, float], name: str, delta: Delta | None) -> list[float | None]:
    numbers = [values[name], *((delta.value, delta.low, delta.high) if delta else (math.nan,) * 3)]
    return [None if math.isnan(number) else number for number in numbers]
