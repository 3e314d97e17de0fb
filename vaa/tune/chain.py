"""The stages of a finished run, built again with a setting's values; no model takes part."""

from __future__ import annotations

import copy
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from vaa.errors import VaaError
from vaa.process import PROJECT_ROOT
from vaa.stages.base import ModelStage, Transform
from vaa.tune.grid import Setting

CONF = PROJECT_ROOT / "conf"
_WHOLE = re.compile(r"\$\{([\w.]+)\}")


def changed(config: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """The run's config with the setting's choices and, after them, fields.

    Raises:
        VaaError: there is no such choice or field in this run.
    """
    new = copy.deepcopy(dict(config))
    for key, value in sorted(setting.changes, key=lambda change: "." in change[0]):
        if "." in key:
            *above, last = key.split(".")
            part = _at(new, above, f"{key}={value}")
            if last not in part:
                raise VaaError(f"--grid {key}={value}: no such field; there {_are(part)}.")
            part[last] = yaml.safe_load(value)
        elif not isinstance(new.get(key), dict):
            raise VaaError(f"--grid {key}={value}: this run has no such choice. Give a field as {key}.FIELD=VALUE.")
        else:
            new[key] = _choice(key, value)
    return new


def stages(config: Mapping[str, Any], where: Path) -> dict[str, Transform]:
    """Name -> stage, in order; relative folders start at `where`.

    Raises:
        VaaError: a stage asks a model, or its values make no stage.
    """
    built = {name: _built(name, _resolved(part, config), where) for name, part in config["stages"].items()}
    return {name: stage for name, stage in built.items() if stage is not None}


def _choice(group: str, name: str) -> Any:
    file = CONF / group / f"{name}.yaml"
    if not file.is_file():
        there = ", ".join(sorted(each.stem for each in file.parent.glob("*.yaml"))) or "nothing"
        raise VaaError(f"--grid {group}={name}: no such choice; conf/{group} holds {there}.")
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _at(config: dict[str, Any], path: list[str], said: str) -> dict[str, Any]:
    for name in path:
        if not isinstance(config.get(name), dict):
            raise VaaError(f"--grid {said}: this run has no {name}; there {_are(config)}.")
        config = config[name]
    return config


def _are(part: Mapping[str, Any]) -> str:
    return f"are {', '.join(name for name in part if name != '_target_') or 'no fields'}"


def _resolved(part: Any, config: Mapping[str, Any]) -> Any:
    """Every ${path} replaced by what stands there, within a text too."""
    if isinstance(part, dict):
        return {key: _resolved(value, config) for key, value in part.items()}
    if not isinstance(part, str):
        return part
    whole = _WHOLE.fullmatch(part)
    if whole:
        return _resolved(_referred(whole[1], config), config)
    return _WHOLE.sub(lambda found: str(_resolved(_referred(found[1], config), config)), part)


def _referred(path: str, config: Mapping[str, Any]) -> Any:
    value: Any = config
    for name in path.split("."):
        value = value[name]
    return value


def _built(name: str, part: Any, where: Path) -> Transform | None:
    if part is None:
        return None
    target = str(part["_target_"])
    if not target.startswith("vaa.stages."):
        raise VaaError(f"stages.{name} is {target}: only the stages of vaa.stages can be tuned.")
    kind = pkgutil.resolve_name(target)
    if isinstance(kind, ModelStage) or any(field.name in ("vlm", "llm", "encoder") for field in fields(kind)):
        raise VaaError(
            f"stages.{name} asks a model. Run the method with smoothing=none position=none, read its scores back with "
            "method=scored scores.root=RUN/scores, and tune that run."
        )
    try:
        values = {key: str(where / value) if key == "root" else value for key, value in part.items()}
        stage = kind(**{key: value for key, value in values.items() if key != "_target_"})
    except TypeError as error:
        raise VaaError(f"stages.{name}: {error}") from error
    if not isinstance(stage, Transform):
        raise VaaError(f"stages.{name} is {target}, which shapes nothing.")
    return stage
