"""What differs between runs, in as few columns as tell them apart: choices, and the fields that no choice explains."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vaa.report.runs import Run

_SHOWN = ("wandb", "plots", "page", "details", "doctor", "meteor_jar")
OUTSIDE = (*_SHOWN, "hydra", "run", "choices", "cache", "max_unparsed", "max_failed")
"""Fields that no number hangs on."""

ABSENT = "-"
_Values = tuple[str, ...]  # of one field, a run each


def differences(runs: Sequence[Run]) -> dict[str, _Values]:
    """Column -> its value in each run.

    A field that was not set by hand is left out where the choices decide it; so is a choice that the method decides.
    Of an experiment only what it changes is shown, or its name where no other choice tells that.
    """
    groups = {group: None for run in runs for group in run.choices}
    chosen = {group: tuple(_chosen(run, group) for run in runs) for group in sorted(groups, key=_order)}
    chosen = {group: values for group, values in chosen.items() if group not in OUTSIDE and _differ(values)}
    by_hand = {re.split("[=@]", override.lstrip("+~"))[0] for run in runs for override in run.overrides}
    experiment, method = chosen.pop("experiment", ()), chosen.get("method", ())
    columns = {group: v for group, v in chosen.items() if not _decided(group, v, method, by_hand)}
    fields = dict(_fields("", [_counted(run.config) for run in runs]))
    left: dict[str, _Values] = {}
    for name, values in fields.items():
        if name.split(".")[0] in chosen and _known_by(values, chosen[name.split(".")[0]]) and _folders(values):
            continue  # data.root says no more than data
        if _set_by_hand(name, by_hand):
            if not (_folders(values) and _alone(values) and _known_by(values, method)):
                left[name] = values
        elif not _known_by(values, *columns.values()):
            if experiment and _known_by(values, experiment, *columns.values()):
                columns["experiment"] = experiment
            else:
                left[name] = values
    return {name: _short(values) for name, values in (columns | left).items()}


def _decided(group: str, values: _Values, method: _Values, by_hand: set[str]) -> bool:
    """Whether the method alone decides this choice: by its defaults, or because other methods have no such group."""
    return (
        group != "method" and _known_by(values, method) and (group not in by_hand or len(set(values) - {ABSENT}) == 1)
    )


def _order(group: str) -> tuple[int, str]:
    first = ("method", "data", "protocol")
    return (first.index(group) if group in first else len(first), group)


def _counted(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in OUTSIDE}


def _fields(name: str, values: Sequence[Any]) -> Iterator[tuple[str, _Values]]:
    """Every field whose value is not the same everywhere; a part that is missing somewhere is `with` or `without`."""
    parts = [value if isinstance(value, dict) else None for value in values]
    known = [part for part in parts if part is not None]
    if not known:
        said = tuple(_said(value) for value in values)
        if _differ(said):
            yield name, said
        return
    if name and None in parts:
        yield name, tuple("without" if value in (None, ABSENT) else "with" for value in values)
    for key in dict.fromkeys(key for part in known for key in part):
        inside = [ABSENT if part is None else part.get(key, ABSENT) for part in parts]
        if all(part is None or key in part for part in parts) and not _differ([json.dumps(p[key]) for p in known]):
            continue
        yield from _fields(f"{name}.{key}" if name else key, inside)


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _differ(values: Sequence[str]) -> bool:
    return len(set(values)) > 1


def _known_by(values: _Values, *columns: _Values) -> bool:
    """Whether runs that agree in the columns agree in these values; not if there is no column."""
    if not any(columns):
        return False
    found: dict[_Values, str] = {}
    keys = zip(*(column for column in columns if column), strict=True)
    return all(found.setdefault(key, value) == value for key, value in zip(keys, values, strict=True))


def _set_by_hand(name: str, by_hand: set[str]) -> bool:
    return any(name == key or ("." in key and name.startswith(f"{key}.")) for key in by_hand)


def _folders(values: _Values) -> bool:
    return all(value in (ABSENT, "none", "without") or "/" in value or os.sep in value for value in values)


def _alone(values: _Values) -> bool:
    return len(set(values) - {ABSENT, "none"}) == 1


def _short(values: _Values) -> _Values:
    """Without the folders that all paths share."""
    paths = [value for value in values if os.path.isabs(value)]  # noqa: PTH117
    if len(set(paths)) < 2 or not _folders(values):
        return values
    shared = os.path.commonpath(paths)
    return tuple(os.path.relpath(value, shared) if value in paths else value for value in values)


def _chosen(run: Run, group: str) -> str:
    name = run.choices.get(group, ABSENT)
    return ABSENT if name == "None" else name  # hydra's word for no choice
