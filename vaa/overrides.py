"""Command-line overrides: which have no effect, and which keys a multirun sweeps."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

_REFERENCE = re.compile(r"\$\{([^}:.]+)")


def unused(
    config: Mapping[str, Any], overrides: Sequence[str], used: Set[str], skip: Set[str] = frozenset()
) -> list[str]:
    """The overrides of top-level keys that nothing refers to: with one, a run would equal the run without it.

    `config` is the composed config with its interpolations. The keys in `used` count as used, and so does what these
    refer to, directly or not, except for the keys in `skip`.
    """
    reached = set(used)
    pending = [name for name in reached if name in config]
    while pending:
        for name in _references(config[pending.pop()]) - reached - skip:
            reached.add(name)
            pending += [name] if name in config else []
    return [override for override in overrides if _root(override) in config and _root(override) not in reached]


@lru_cache(maxsize=1)  # one file for all jobs of a process
def swept(multirun_file: Path) -> dict[str, list[str]]:
    """Swept key -> its values as text, of a multirun whose `multirun.yaml` this is; empty where there is no file.

    A key that is swept over an interval or a glob has no values known in advance: its list is empty.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob

    if not multirun_file.is_file():
        return {}
    hydra = yaml.safe_load(multirun_file.read_text(encoding="utf-8"))["hydra"]
    params = hydra["sweeper"].get("params") or {}
    assignments = [*hydra["overrides"]["task"], *(f"{key}={value}" for key, value in params.items())]
    sweeps = [o for o in OverridesParser.create().parse_overrides(assignments) if o.is_sweep_override()]
    discrete = {o.get_key_element() for o in sweeps if not (o.is_interval_sweep() or isinstance(o.value(), Glob))}
    return {
        key: [*o.sweep_string_iterator()] if key in discrete else [] for o in sweeps if (key := o.get_key_element())
    }


def _root(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0].split("@")[0].split(".")[0]


def _references(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(_REFERENCE.findall(value))
    items: Collection[Any] = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for item in items for name in _references(item)}
