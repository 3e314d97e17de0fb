"""The settings in which runs differ, in as few columns as possible: choices, and fields that no choice explains."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from vaa.report.runs import Run

_DISPLAY = ("wandb", "plots", "page", "details", "doctor", "meteor_jar")
IGNORED = (*_DISPLAY, "hydra", "run", "choices", "cache", "decode_timeout", "max_unparsed", "max_failed")
"""Fields that change no number."""

ABSENT = "-"
_Values = tuple[str, ...]
"""The values of one field, one for each run."""


def differences(runs: Sequence[Run]) -> dict[str, _Values]:
    """Column -> its value in each run.

    A field is left out if the choices determine it and it was not overridden; so is a choice that the method
    determines. An experiment is represented by what it changes, or by its name if no other column shows the change.
    """
    groups = dict.fromkeys(group for run in runs for group in run.choices)
    choices = {group: tuple(_choice(run, group) for run in runs) for group in sorted(groups, key=_order)}
    choices = {group: values for group, values in choices.items() if group not in IGNORED and _differ(values)}
    overridden = {re.split("[=@]", override.lstrip("+~"))[0] for run in runs for override in run.overrides}
    experiment, method = choices.pop("experiment", ()), choices.get("method", ())
    columns = {g: values for g, values in choices.items() if not _set_by_method(g, values, method, overridden)}
    configs = [{key: value for key, value in run.config.items() if key not in IGNORED} for run in runs]
    fields: dict[str, _Values] = {}
    for name, values in _different_fields("", configs):
        group = name.split(".")[0]
        if group in choices and _determined(values, choices[group]) and _are_paths(values):
            continue  # data.root says no more than data
        if _is_overridden(name, overridden):
            if not (_are_paths(values) and _has_one_value(values) and _determined(values, method)):
                fields[name] = values
        elif not _determined(values, *columns.values()):
            if experiment and _determined(values, experiment, *columns.values()):
                columns["experiment"] = experiment
            else:
                fields[name] = values
    return {name: _shorten_paths(values) for name, values in (columns | fields).items()}


def _set_by_method(group: str, values: _Values, method: _Values, overridden: set[str]) -> bool:
    """Whether the method determines this choice: by its defaults, or because other methods have no such group."""
    if group == "method" or not _determined(values, method):
        return False
    return group not in overridden or _has_one_value(values, empty=(ABSENT,))


def _order(group: str) -> tuple[int, str]:
    first = ("method", "data", "protocol")
    return (first.index(group) if group in first else len(first), group)


def _different_fields(name: str, values: Sequence[Any]) -> Iterator[tuple[str, _Values]]:
    """Every field whose values differ; a component that some runs lack is `with` or `without`."""
    parts = [value if isinstance(value, dict) else None for value in values]
    present = [part for part in parts if part is not None]
    if not present:
        texts = tuple(_text(value) for value in values)
        if _differ(texts):
            yield name, texts
        return
    if name and None in parts:
        yield name, tuple("without" if value in (None, ABSENT) else "with" for value in values)
    for key in dict.fromkeys(key for part in present for key in part):
        inside = [ABSENT if part is None else part.get(key, ABSENT) for part in parts]
        everywhere = all(part is None or key in part for part in parts)
        if everywhere and not _differ([json.dumps(part[key]) for part in present]):
            continue
        yield from _different_fields(f"{name}.{key}" if name else key, inside)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _differ(values: Sequence[str]) -> bool:
    return len(set(values)) > 1


def _determined(values: _Values, *columns: _Values) -> bool:
    """Whether runs that agree in all columns agree in these values; False without a column."""
    if not any(columns):
        return False
    value_of: dict[_Values, str] = {}
    keys = zip(*(column for column in columns if column), strict=True)
    return all(value_of.setdefault(key, value) == value for key, value in zip(keys, values, strict=True))


def _is_overridden(name: str, overridden: set[str]) -> bool:
    return any(name == key or ("." in key and name.startswith(f"{key}.")) for key in overridden)


def _are_paths(values: _Values) -> bool:
    return all(value in (ABSENT, "none", "without") or "/" in value or os.sep in value for value in values)


def _has_one_value(values: _Values, empty: Sequence[str] = (ABSENT, "none")) -> bool:
    return len(set(values) - set(empty)) == 1


def _shorten_paths(values: _Values) -> _Values:
    """Absolute paths relative to the folder that all of them share."""
    paths = [value for value in values if os.path.isabs(value)]  # noqa: PTH117
    if len(set(paths)) < 2 or not _are_paths(values):
        return values
    shared = os.path.commonpath(paths)
    return tuple(os.path.relpath(value, shared) if value in paths else value for value in values)


def _choice(run: Run, group: str) -> str:
    name = run.choices.get(group, ABSENT)
    return ABSENT if name == "None" else name  # Hydra records "None" where nothing was chosen
