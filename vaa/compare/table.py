"""A comparison as a table: what differs, values with their deltas, the best in bold."""

from __future__ import annotations

import math

from vaa.compare.comparison import Comparison, ComparisonRow, Delta
from vaa.compare.formats import Cell, Sheet


def sheet(compared: Comparison, digits: int) -> Sheet:
    """The table; numbers have this many digits where people read them, all of them where programs do."""
    several, metrics = len(compared.rows) > 1, compared.metrics
    measured = [title for metric in metrics for title in ((metric, "Δ [95 %]") if several else (metric,))]
    header = ("run", *compared.columns, *measured)
    numeric = (False, *(False for _ in compared.columns), *(True for _ in measured))
    rows = []
    for row in compared.rows:
        cells = [Cell(f"{row.name} !" if row.marks else row.name)]
        cells += [Cell(row.choices[column]) for column in compared.columns]
        for metric in metrics:
            cells.append(Cell(_said(row.values.get(metric), digits), metric in row.best))
            cells += [Cell(_delta(row.deltas.get(metric), digits))] if several else []
        rows.append(tuple(cells))
    base = (f"Δ: to {compared.rows[compared.baseline].name}.",) if several else ()
    title = f"{len(compared.rows)} runs compared" if several else "A run"
    return Sheet(title, header, numeric, tuple(rows), (*base, *compared.notes), _plain(compared))


def _plain(compared: Comparison) -> tuple[tuple[str | float | None, ...], ...]:
    ends = ("", "_delta", "_low", "_high")
    header = ("run", "folder", *compared.columns, *(f"{m}{end}" for m in compared.metrics for end in ends))
    return ((*header, "counted_alike", "marks"), *(_numbers(row, compared) for row in compared.rows))


def _numbers(row: ComparisonRow, compared: Comparison) -> tuple[str | float | None, ...]:
    found: list[str | float | None] = [row.name, row.folder, *(row.choices[c] for c in compared.columns)]
    for metric in compared.metrics:
        delta = row.deltas.get(metric)
        numbers = [row.values.get(metric), *((delta.value, delta.low, delta.high) if delta else (None,) * 3)]
        found += [None if number is None or math.isnan(number) else number for number in numbers]
    alike = all(delta.alike for delta in row.deltas.values())
    return (*found, "yes" if alike else "no", "; ".join(row.marks))


def _said(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.0f}" if isinstance(value, int) else f"{value:.{digits}f}"


def _delta(delta: Delta | None, digits: int) -> str:
    if delta is None or math.isnan(delta.value):
        return ""
    sure = "" if math.isnan(delta.low) else f" [{delta.low:+.{digits}f}, {delta.high:+.{digits}f}]"
    return f"{delta.value:+.{digits}f}{sure}{'' if delta.alike else ' †'}"
