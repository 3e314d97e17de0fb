"""What a W&B run is called and which columns it has: choices by their group's name, numbers as one overrides them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_COPY = re.compile(r"\$\{[^{}]+\}")


def columns(config: Mapping[str, Any], resolved: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Column -> value: `smoothing` is the choice, `smoothing.sigma` its number; both are what one writes to change it.

    `config` is the composed configuration with its interpolations, `resolved` without: what is a copy of another place
    (`${window}`) has no column of its own. The blocks `wandb` and `run` have none either, nor have Hydra's own choices.
    """
    copies = {key for key, value in _leaves(config) if isinstance(value, str) and _COPY.fullmatch(value)}
    told = {
        key: value
        for key, value in _leaves(resolved)
        if not key.startswith(("wandb.", "run."))
        and not any(key == copy or key.startswith(f"{copy}.") for copy in copies)
    }
    return {
        **told,
        **{group: name for group, name in choices.items() if group != "run" and not group.startswith("hydra/")},
    }


def job_name(swept: Mapping[str, Sequence[str]], overrides: Sequence[str], number: int) -> str:
    """What differs from the other jobs of a multirun: its overrides of the swept keys.

    Where a key takes one value twice, or takes values that nobody knows beforehand, the job's number is added; where
    nobody knows the keys, all overrides are named.
    """
    differing = ",".join(override for override in overrides if not swept or override.split("=", 1)[0] in swept)
    certain = swept and all(values and len({*values}) == len(values) for values in swept.values())
    return differing if certain else f"{differing} #{number}".strip()


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{where}.{key}".strip("."))
    else:
        yield where, value
