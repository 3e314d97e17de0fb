"""Checks a composed config against the fields of the classes that it names, before anything is instantiated."""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaa.choices import did_you_mean, mandatory_comment
from vaa.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([^}:.][^}:]*)\}")
_MISSING = "???"
_NEEDED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def check(
    config: Mapping[str, Any],
    resolve: Callable[[str], Any],
    overrides: Sequence[str],
    chosen: Mapping[str, str | None],
    settings: Mapping[str, type],
) -> None:
    """Compare `run` and all that it refers to with the types of the classes' fields.

    Args:
        config: the composed config with its interpolations.
        resolve: the value of a dotted key, interpolations replaced; None where that fails.
        overrides: the command line's, so that a message shows a value as it was written.
        chosen: config group -> its choice.
        settings: keys that `run` does not refer to -> their types.

    Raises:
        ConfigError: names each setting that is missing, unknown or of another type.
    """
    words = [override.lstrip("+") for override in overrides]
    checker = _Checker(config, resolve, {word.partition("=")[0]: word for word in words}, chosen)
    for key, override in checker.written.items():
        if override == f"{key}=":
            checker.problems.append(
                f"{key}= is empty: is a variable not set? An empty text is written '{key}=\"\"', no value {key}=null."
            )
    checker.check("run", config["run"], Any)
    for name, hint in settings.items():
        checker.check(name, config.get(name), hint)
    if checker.problems:
        raise ConfigError("\n".join(dict.fromkeys(checker.problems)))


class _Checker:
    """Collects what is wrong; `written` has the overrides by key."""

    def __init__(
        self,
        config: Mapping[str, Any],
        resolve: Callable[[str], Any],
        written: Mapping[str, str],
        chosen: Mapping[str, str | None],
    ) -> None:
        self.config, self.resolve, self.written, self.chosen = config, resolve, written, chosen
        self.problems: list[str] = []

    def check(self, key: str, value: Any, hint: Any) -> None:
        """Check a value against the annotation of its field, and what is below it against theirs."""
        key, value, found = self._follow(key, value)
        if not found or self.written.get(key) == f"{key}=":
            return
        if value == _MISSING:
            self.problems.append(f"{key} is not set: {mandatory_comment(key, self.chosen) or f'add {key}=VALUE'}.")
        elif isinstance(value, Mapping) and "_target_" in value:
            if _plain(hint):
                self._refuse(key, value, hint)
            self._check_node(key, value)
        elif hint is not Any:
            options = _options(hint)
            python_null = value == "None" and types.NoneType in options
            if python_null or not any(self._fits(key, value, option) for option in options):
                self._refuse(key, value, hint)

    def _fits(self, key: str, value: Any, hint: Any) -> bool:
        """Whether a value is of this type, which is no union; what is in a list or mapping is checked by itself."""
        origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        if hint is Any:
            return True
        if origin is typing.Literal:
            return value in args
        if hint in (bool, types.NoneType):
            return isinstance(value, hint)
        if hint in (int, float):
            number = isinstance(value, hint | int) and not isinstance(value, bool)
            return number and math.isfinite(value)
        if hint is str:
            return isinstance(value, str)
        if isinstance(value, list | tuple) and isinstance(origin, type) and issubclass(origin, Sequence | list | tuple):
            for position, element in enumerate(value):
                self.check(f"{key}[{position}]", element, args[0] if args else Any)
            return True
        if isinstance(value, Mapping) and isinstance(origin, type) and issubclass(origin, Mapping):
            for name, element in value.items():
                self.check(f"{key}.{name}", element, args[1] if args else Any)
            return True
        return False

    def _check_node(self, key: str, node: Mapping[str, Any]) -> None:
        from hydra._internal.utils import _locate  # get_object logs the error too

        try:
            target = _locate(node["_target_"])
            fields, hints = inspect.signature(target).parameters, typing.get_type_hints(target)
        except Exception as error:
            own = "" if str(node["_target_"]).startswith("vaa.") else f" Files of your own are read from {Path.cwd()}."
            self.problems.append(f"{key}._target_={node['_target_']}: no such class or function: {error}{own}")
            return
        given = {name: value for name, value in node.items() if not re.fullmatch("_[a-z]+_", str(name))}
        if not any(field.kind is inspect.Parameter.VAR_KEYWORD for field in fields.values()):
            for name in given.keys() - fields.keys():
                self.problems.append(f"{key}.{name}: no such key.{did_you_mean(str(name), fields, key)}")
        for name, value in given.items():
            if name in fields:
                self.check(f"{key}.{name}", value, hints.get(name, Any))
        for name, field in fields.items():
            if name not in given and field.default is field.empty and field.kind is field.KEYWORD_ONLY:
                self.problems.append(f"{key}.{name} is missing: give {key}.{name}=VALUE instead of deleting it.")

    def _follow(self, key: str, value: Any) -> tuple[str, Any, bool]:
        """The key and the value that references lead to, and whether there is one."""
        passed = [key]
        while isinstance(value, str) and (reference := _REFERENCE.fullmatch(value)):
            source, key = key, reference[1]
            if key in passed:
                self.problems.append(f"{source}={value}: it refers to itself.")
                return key, None, False
            passed.append(key)
            try:
                value = self._at(key)
            except KeyError:
                self.problems.append(f"{source} refers to {key}, which is not in the config.")
                return key, None, False
        if isinstance(value, str) and "${" in value:
            value = self.resolve(key)
            return key, value, value is not None
        return key, value, True

    def _at(self, key: str) -> Any:
        node: Any = self.config
        for part in key.split("."):
            _, node, found = self._follow(key, node)
            if not found or not isinstance(node, Mapping):
                raise KeyError(key)
            node = node[part]
        return node

    def _refuse(self, key: str, value: Any, hint: Any) -> None:
        options = _options(hint)
        text = self.written.get(key) or f"{key}={_as_written(value)}"
        advice = ""
        if str in options and isinstance(value, int | float):  # a bool is an int
            given = text.partition("=")[2]
            advice = f" Quote it: '{key}=\"{given}\"'."
        elif types.NoneType in options and value in (False, "None", "none", "off", "no"):
            advice = f" Write {key}=null."
        elif isinstance(value, str) and (choice := next((o for o in options if typing.get_args(o)), None)):
            advice = did_you_mean(value, [str(arg) for arg in typing.get_args(choice)])
        elif not any(_plain(option) for option in options if option is not types.NoneType) and not isinstance(
            value, Mapping
        ):
            advice = f" Its settings are written {key}.NAME=VALUE."
        self.problems.append(f"{text}: {_needed(options)} is needed.{advice}")


def _options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union, else the annotation itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _plain(hint: Any) -> bool:
    return all(option in _NEEDED or typing.get_origin(option) is typing.Literal for option in _options(hint))


def _needed(options: Sequence[Any]) -> str:
    words = []
    for option in sorted(options, key=lambda option: option is types.NoneType):
        origin = typing.get_origin(option) or option
        if origin is typing.Literal:
            words += [str(arg) for arg in typing.get_args(option)]
        elif option in _NEEDED:
            words.append(_NEEDED[option])
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            words.append("a mapping")
        elif isinstance(origin, type) and issubclass(origin, Sequence):
            words.append("a list, as in [A,B],")
        elif "a group of settings" not in words:
            words.append("a group of settings")
    return " or ".join(words)


def _as_written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "{...}" if isinstance(value, Mapping) else str(value)
