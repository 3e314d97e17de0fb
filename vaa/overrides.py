"""Command-line overrides: which have no effect, which keys a multirun sweeps, and into which folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from vaa.errors import OutputError

_REFERENCE = re.compile(r"\$\{([^}:]+)\}")


def unused(
    config: Mapping[str, Any], overrides: Sequence[str], used: Set[str], skip: Set[str] = frozenset()
) -> list[str]:
    """The overrides of keys that nothing refers to: with one, a run would equal the run without it.

    `config` is the composed config with its interpolations. The keys in `used` count as used, and so does what these
    refer to, directly or not, except for the keys in `skip`.
    """
    reached = set(used)
    pending = list(used)
    while pending:
        found = {path for path in _references(_at(config, pending.pop())) if path.split(".")[0] not in skip} - reached
        reached |= found
        pending += found
    return [o for o in overrides if _key(o).split(".")[0] in config and not any(_related(_key(o), r) for r in reached)]


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


def check_sweep_folder(args: Sequence[str]) -> None:
    """Check the `hydra.sweep.dir` of a command line, before Hydra overwrites the `multirun.yaml` in it.

    Names with references are not checked: they have the time, as the default has.

    Raises:
        OutputError: the folder has the `multirun.yaml` of another multirun.
    """
    folders = [match[2] for arg in args if (match := re.fullmatch(r"\+{0,2}hydra\.sweep\.dir=([\"']?)(.+)\1", arg))]
    if not folders or "${" in folders[-1] or not {"-m", "--multirun", "hydra.mode=MULTIRUN"} & {*args}:
        return
    file = Path(folders[-1], "multirun.yaml")
    try:
        earlier = yaml.safe_load(file.read_text(encoding="utf-8"))["hydra"]
        command = earlier["runtime"]["cwd"], sorted(earlier["overrides"]["task"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        command = None
    if command != (str(Path.cwd()), sorted(arg for arg in args if not re.match(r"-|[+~]*hydra[./]", arg))):
        raise OutputError(
            f"{file}: of another multirun, and would be overwritten. Leave out hydra.sweep.dir for a new folder, or "
            "give another one."
        )


def _key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0].split("@")[0]


def _related(key: str, other: str) -> bool:
    """Whether one of two dotted keys is, or contains, the other."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _at(config: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted key, or the reference on the way to it."""
    value: Any = config
    for part in path.split("."):
        if not isinstance(value, Mapping):
            break
        value = value.get(part)
    return value


def _references(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(_REFERENCE.findall(value))
    items: Collection[Any] = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for item in items for name in _references(item)}
