"""What is overridden; what would change nothing is refused: no row of a table is ever silently equal to another."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

_REFERENCE = re.compile(r"\$\{([^}:.]+)")


def unused(config: Mapping[str, Any], overrides: Sequence[str], read: Collection[str]) -> list[str]:
    """Those of the overrides that touch a part of the (unresolved) config which nothing refers to.

    `read` names the parts that the program itself reads; the others count only where these refer to them.
    """
    used = set(read)
    waiting = [name for name in used if name in config]
    while waiting:
        for name in _references(config[waiting.pop()]) - used:
            used.add(name)
            waiting += [name] if name in config else []
    return [override for override in overrides if _root(override) in config and _root(override) not in used]


@lru_cache(maxsize=1)  # one file for all jobs of a process
def of_multirun(file: Path) -> Mapping[str, Any]:
    """What Hydra was asked to do in a multirun: the block `hydra` of its `multirun.yaml`."""
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))["hydra"])


def _root(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0].split("@")[0].split(".")[0]


def _references(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(_REFERENCE.findall(value))
    items: Collection[Any] = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for item in items for name in _references(item)}
