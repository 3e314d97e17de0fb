"""Overrides that would change nothing, so that no row of a table is ever silently equal to another."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

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


def _root(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0].split("@")[0].split(".")[0]


def _references(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(_REFERENCE.findall(value))
    items: Collection[Any] = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for item in items for name in _references(item)}
