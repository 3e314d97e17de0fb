"""Mistakes on the command line: a home folder written as ~, and what Hydra's errors mean and how to go on.

Hydra's own messages name its internals, advise to add `+`, and end in a traceback for some mistakes. Its errors are
explained here from the command line itself, only after one has happened.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vaa.choices import GROUPS, choices, describe, did_you_mean, most_similar
from vaa.installation import CONF, command_name, own_conf

_HOME = re.compile(r"(?<=[=,\[])(?P<quote>[\"']?)(?P<path>~[\w.-]*(?:/[^,\"'\]]*)?)(?P=quote)(?=[,\]]|$)")
_TEXT = re.compile(r"^(?P<key>(?:watch_for|ignore)=)(?!null$)(?P<text>[^\[{\"'].*)$", re.DOTALL)
_PATH_FIELDS = ("checkpoint", "root", "file", "url")
"""Fields that a path or a hub name is meant for, where it is given to a group."""


def hydra_arguments(args: Sequence[str]) -> list[str]:
    """The arguments as Hydra needs them: -m before the overrides, and ~ and ~user expanded in their values.

    Hydra takes no option between overrides and refuses ~, which no shell expands there, quoted or not. A list and the
    values of a sweep are expanded one by one. A name without such a user is left as it is. The text of `watch_for` and
    `ignore` is quoted, since commas in it separate definitions; in a multirun they separate jobs.
    """
    multirun = [arg for arg in args if arg in ("-m", "--multirun")]
    others = [arg if arg.startswith("-") else _HOME.sub(_expanded, arg) for arg in args if arg not in multirun]
    return multirun + [arg if multirun else _TEXT.sub(_quoted, arg) for arg in others]


def _expanded(match: re.Match[str]) -> str:
    path = os.path.expanduser(match["path"])  # noqa: PTH111 Path.expanduser raises for an unknown user
    return match[0] if path == match["path"] else '"' + path.replace('"', '\\"') + '"'


def _quoted(match: re.Match[str]) -> str:
    text = match["text"].replace("\\", "\\\\").replace('"', '\\"')
    return f'{match["key"]}"{text}"'


def explain(error: Exception, args: Sequence[str]) -> str | None:
    """What is wrong with a command line that ended with this error of Hydra, and what to write instead.

    All overrides are checked, so that several mistakes are named at once. Where none is wrong, it is the error's own
    first line if it is Hydra's or OmegaConf's, else None.
    """
    from hydra._internal.utils import get_args_parser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    options = get_args_parser().parse_args(list(args))
    own = own_conf()
    folder = options.config_dir or (str(own) if own else None)
    try:
        problems = list(_problems(options.overrides, folder, bool(options.multirun)))
    except (HydraException, OmegaConfBaseException, OSError):  # conf/ itself, or the folder of --config-dir
        problems = []
    if problems:
        return "\n".join(dict.fromkeys(problems))
    return _first_lines(error) if isinstance(error, HydraException | OmegaConfBaseException) else None


def _problems(words: Sequence[str], config_dir: str | None, multirun: bool) -> Iterator[str]:
    known = {group: {**choices(group), **_own_choices(group, config_dir)} for group in GROUPS}
    usable: list[Any] = []
    keys: list[Any] = []
    for word in words:
        override = _parsed(word)
        if override is None:
            yield _unparsable(word)
        elif override.is_sweep_override() and not multirun:
            yield (
                f"{word}: several values are a sweep: add -m to run a job for each. One value with a comma is written "
                f"'{override.key_or_group}=\"A,B\"', and a list [A,B]."
            )
        elif override.key_or_group not in known or override.is_delete():
            keys.append(override)
        elif wrong := [value for value in _values(override) if str(value) not in known[override.key_or_group]]:
            chosen_before = tuple(_first_value(o) for o in usable if not o.is_add())
            for value in wrong:
                yield _no_choice(override.key_or_group, value, known[override.key_or_group], chosen_before)
        else:
            usable.append(override)
    config, chosen = _compose(tuple(_first_value(o) for o in usable if not o.is_add()), config_dir)
    groups = ", ".join(group for group in GROUPS if chosen.get(group) and group != "run")
    for override in usable:
        group = override.key_or_group
        if override.is_add() and chosen.get(group):
            yield f"{override.input_line}: {group} is in use already: leave out the +."
        elif not override.is_add() and group not in chosen:
            yield f"{override.input_line}: method={chosen['method']} has no {group}. The groups in use: {groups}."
        elif isinstance(chosen.get(group), str) and chosen[group] not in _values(override):
            others = " ".join(other.input_line for other in usable if other is not override)
            yield f"{override.input_line}: cannot be combined with {others}."
    existing = list(_keys(config))
    for override in (o for o in keys if not o.key_or_group.startswith("hydra") and not o.is_force_add()):
        key, text = override.key_or_group, override.input_line.lstrip("+~")
        if override.is_add() and key in existing:
            yield f"{override.input_line}: the key exists: leave out the +."
        elif not override.is_add() and key not in existing:
            yield f"{text}: no such key.{_similar_key(key, existing)}"


def _parsed(word: str) -> Any:
    """Hydra's override, None if this is none."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return None
    return override if override.key_or_group else None


def _unparsable(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[~+]*[\w./@-]+", key):
        return f"{word}: expected KEY=VALUE or GROUP=CHOICE, without blanks around the sign."
    quoted = value.strip("\"'").replace('"', '\\"')
    suggestion = shlex.quote(f'{key}="{quoted}"')
    return f"{word}: a value with such signs is written in two pairs of quotes: {suggestion}"


def _values(override: Any) -> list[Any]:
    """The choices that a group is given: several of a sweep, a list, or one."""
    if override.is_sweep_override():
        if not override.is_discrete_sweep():
            return []
        return [re.sub(r"^([\"'])(.*)\1$", r"\2", text) for text in override.sweep_string_iterator()]
    value = override.value()
    return value if isinstance(value, list) else [value]


def _own_choices(group: str, config_dir: str | None) -> dict[str, str]:
    folder = Path(config_dir or CONF, group)
    return {file.relative_to(folder).with_suffix("").as_posix(): "" for file in folder.rglob("*.yaml")}


def _no_choice(group: str, value: Any, known: Mapping[str, str], chosen: tuple[str, ...]) -> str:
    given = "null" if value is None else str(value)
    meant = _meant(group, value, given, known, chosen)
    advice = f" Did you mean {meant}?" if meant else ""
    return (
        f"{group}={given}: {group} is a group without this choice.{advice} The choices are:\n{describe(group)}".rstrip()
    )


def _meant(group: str, value: Any, given: str, known: Mapping[str, str], chosen: tuple[str, ...]) -> str:
    """What to write instead of a choice that does not exist: a similar one, or the field that the value is for."""
    if "/" in given or isinstance(value, int | float):
        if group == "data":
            return f"data=folder data.root={given}"
        field = _fitting_field(_fields(group, chosen), value)
        return f"{group}.{field}={given}" if field else ""
    if similar := most_similar(given, known):
        return f"{group}={similar}"
    return f"{group}=server {group}.model={given}" if group in ("vlm", "llm") and isinstance(value, str) else ""


def _fields(group: str, chosen: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a group as the choices before it have it, else of its first choice."""
    config, _ = _compose(chosen, None)
    if group in config:
        return dict(config[group]) if isinstance(config[group], Mapping) else {}
    import yaml

    file = CONF / group / f"{next(iter(choices(group)))}.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _fitting_field(fields: Mapping[str, Any], value: Any) -> str | None:
    """The field that a value without a field is probably meant for: the first of its type."""
    if isinstance(value, str):
        return next((field for field in _PATH_FIELDS if field in fields), None)
    numbers = {name: old for name, old in fields.items() if isinstance(old, int | float) and not isinstance(old, bool)}
    return next((name for name, old in numbers.items() if type(old) is type(value)), next(iter(numbers), None))


def _first_value(override: Any) -> str:
    """The override with the first value of its sweep."""
    return f"{override.get_key_element()}={next(iter(_values(override)), None) or override.get_value_string()}"


@cache
def _compose(overrides: tuple[str, ...], config_dir: str | None) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The composed config with its references, and group -> choice, of those overrides that compose together."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    used = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", used, return_hydra_config=True)
        for override in overrides:
            try:
                cfg = compose("config", [*used, override], return_hydra_config=True)
            except HydraException:
                continue
            used.append(override)
    chosen = dict(cfg.hydra.runtime.choices)
    container: Any = OmegaConf.to_container(cfg)
    del container["hydra"]
    return container, chosen


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    """All dotted keys of a config, those of inner nodes too."""
    items: Iterable[tuple[str, Any]] = config.items() if isinstance(config, Mapping) else ()
    for name, value in items:
        yield f"{prefix}{name}"
        yield from _keys(value, f"{prefix}{name}.")


def _similar_key(key: str, keys: Sequence[str]) -> str:
    """A hint at the key that is meant: one below the same parent, one with this last part, or a similar one."""
    parent, _, last = key.rpartition(".")
    below = [other.removeprefix(f"{parent}.") for other in keys if other.rpartition(".")[0] == parent]
    below = [other for other in below if other != "_target_" or last.startswith("_")]
    if parent and below:
        return did_you_mean(last, below, parent)
    same_end = [other for other in keys if other.rpartition(".")[2] == last and not other.startswith("run.")]
    meant = " or ".join(same_end[:3]) or most_similar(key, [*GROUPS, *keys])
    return f" Did you mean {meant}?" if meant else f" `{command_name()} --cfg job` prints all keys, --help the groups."


def _first_lines(error: Exception) -> str:
    """The message of an error of Hydra without its search path and its advice."""
    text = str(error) or str(error.__cause__ or error.__context__ or type(error).__name__)
    lines = [line for line in text.splitlines() if line.strip()]
    ends = ("Config search path", "To append to", "See https://", "object_type=", "reference_type=")
    end = next((number for number, line in enumerate(lines) if line.strip().startswith(ends)), len(lines))
    cause = str(error.__cause__).splitlines()[0] if error.__cause__ and str(error) else ""
    return "\n".join(filter(None, [*lines[:end], cause]))
