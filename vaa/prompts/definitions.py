"""Definitions: what a user looks for (`watch_for`) and what is normal (`ignore`), as texts for prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from vaa.errors import ConfigError
from vaa.types import Definition, local_path

_KEYS = ("name", "wording", "except")
_FORM = "a text ('a fire, a fight'), a list, or a YAML file with a list of {name: ..., wording: ..., except: [...]}"


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """The definitions of the settings; none where neither is given, so that prompts ask what the method asks.

    Attributes:
        watch_for: wordings separated by commas, or a list of wordings and mappings with `wording` and, optionally,
            `name` (else the wording) and `except` (what does not count), or the path of a YAML file with such a list.
        ignore: what does not count for any definition: texts separated by commas, or a list.
        anything: the wording where only `ignore` is given.

    Raises:
        ConfigError: a setting has another form, two definitions have one name, or the file cannot be read.
    """

    watch_for: str | Sequence[Any] | None
    ignore: str | Sequence[Any] | None
    anything: str

    def __post_init__(self) -> None:
        names = [definition.name for definition in self.all]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ConfigError(f"watch_for: {', '.join(sorted(repeated))}: two definitions have this name.")

    @cached_property
    def all(self) -> tuple[Definition, ...]:
        """In the order in which they are written."""
        ignored = _texts("ignore", self.ignore)
        if self.watch_for is not None:
            return tuple(_definition(item, ignored) for item in _items(self.watch_for))
        return (Definition(name="anomaly", wording=self.anything, exceptions=ignored),) if ignored else ()


def definition_fields(definition: Definition) -> dict[str, str]:
    """The values of a prompt's placeholders `$definition` and `$exceptions`."""
    exceptions = f" This does not count: {', '.join(definition.exceptions)}." if definition.exceptions else ""
    return {"definition": definition.wording, "exceptions": exceptions}


def _items(watch_for: str | Sequence[Any]) -> list[Any]:
    """The definitions as they are written; a text that is the name of a YAML file is read from there."""
    if not isinstance(watch_for, str):
        items = list(watch_for)
    elif watch_for.strip().endswith((".yaml", ".yml")) and "," not in watch_for:
        items = _read(watch_for.strip())
    else:
        items = list(_texts("watch_for", watch_for))
    if not items:
        raise ConfigError(f"watch_for: nothing to look for. Give {_FORM}.")
    return items


def _read(file: str) -> list[Any]:
    try:
        content = yaml.safe_load(local_path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"watch_for={file}: cannot be read: {error}") from error
    if not isinstance(content, list):
        raise ConfigError(f"watch_for={file}: a list of definitions is needed, each {{name: ..., wording: ...}}.")
    return content


def _texts(key: str, value: str | Sequence[Any] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    texts = tuple(str(part).strip() for part in parts)
    if not all(texts):
        raise ConfigError(f"{key}={value!r}: a part of it is empty. Write texts separated by commas, or a list.")
    return texts


def _definition(item: Any, ignored: tuple[str, ...]) -> Definition:
    if isinstance(item, str):
        item = {"wording": item}
    if not isinstance(item, dict) or not str(item.get("wording") or "").strip() or item.keys() - set(_KEYS):
        raise ConfigError(f"watch_for: {item!r} is no definition. Give {_FORM}.")
    wording = str(item["wording"]).strip()
    own = _texts("watch_for: except", item.get("except"))
    return Definition(name=str(item.get("name") or wording).strip(), wording=wording, exceptions=own + ignored)
