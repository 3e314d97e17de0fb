"""Settings to try, every combination of a grid's values, and the stages of a run under each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaa.choices import choices
from vaa.errors import ConfigError
from vaa.installation import CONF, search_path
from vaa.stages.base import Transform


@dataclass(frozen=True)
class Setting:
    """Overrides of fields and choices, as in ("smoothing.sigma", "5"); without any: the run as it is."""

    overrides: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The overrides as they are written on a command line."""
        return " ".join(f"{key}={value}" for key, value in self.overrides) or "as it is"


AS_IT_IS = Setting(())


def grid_settings(grids: Sequence[Sequence[str]]) -> tuple[Setting, ...]:
    """All combinations of each grid's `key=value,value` arguments, without repetition; `AS_IT_IS` comes first.

    Raises:
        ConfigError: an argument is not of this form, or a grid has a key twice.
    """
    settings = [AS_IT_IS]
    for grid in grids:
        axes = [_parse_axis(argument) for argument in grid]
        keys = [key for key, _ in axes]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise ConfigError(f"--grid: {', '.join(repeated)} is given twice; give all its values in one argument.")
        settings += [Setting(tuple(zip(keys, values, strict=True))) for values in product(*(v for _, v in axes))]
    return tuple(dict.fromkeys(settings))


def _parse_axis(argument: str) -> tuple[str, list[str]]:
    key, equals, text = argument.partition("=")
    values = [value.strip() for value in text.split(",")]
    if not equals or not key or not all(values):
        raise ConfigError(
            f"--grid {argument}: expected KEY=VALUE,VALUE, as in smoothing.sigma=5,10,20 or position=none,centre."
        )
    return key, values


def build_stages(saved_config: Mapping[str, Any], setting: Setting, cwd: Path) -> dict[str, Transform]:
    """The stages of a run's config under a setting, by name and in order; relative folders start at `cwd`.

    Each choice is composed once, and fields are set on a copy of the config: 20 ms of CPU time per setting, against
    200 ms if Hydra composes the whole run for each setting (means of 105 settings).

    Raises:
        ConfigError: the run has no such choice or field, a value is invalid, or a stage needs a model.
    """
    config = OmegaConf.create(dict(saved_config))
    for key, value in sorted(setting.overrides, key=lambda override: "." in override[0]):  # choices before fields
        if "." in key:
            _set_field(config, key, value)
        elif not isinstance(config.get(key), DictConfig):
            raise ConfigError(f"--grid {key}={value}: this run has no such choice. Give a field: {key}.FIELD=VALUE.")
        else:
            config[key] = _compose_choice(key, value)
    stages = {name: _build_stage(name, config.stages[name], cwd) for name in config.stages}
    return {name: stage for name, stage in stages.items() if stage is not None}


@cache
def _compose_choice(group: str, name: str) -> Any:
    if name not in choices(group):
        names = ", ".join(choices(group)) or "nothing"
        raise ConfigError(f"--grid {group}={name}: no such choice; conf/{group} has {names}.")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(f"{group}/{name}", search_path())[group]


def _set_field(config: Any, key: str, value: str) -> None:
    parent_key, _, name = key.rpartition(".")
    parent = OmegaConf.select(config, parent_key)
    if not isinstance(parent, DictConfig):
        raise ConfigError(f"--grid {key}={value}: this run has no {parent_key}.")
    if name not in list(parent):
        fields = ", ".join(str(field) for field in parent if field != "_target_") or "none"
        raise ConfigError(f"--grid {key}={value}: no such field. The fields of {parent_key}: {fields}.")
    try:
        parent[name] = OverridesParser.create().parse_override(f"{key}={value}").value()
    except HydraException as error:
        raise ConfigError(f"--grid {key}={value}: the value cannot be parsed.") from error


def _build_stage(name: str, part: Any, cwd: Path) -> Transform | None:
    if part is None:
        return None
    target = str(part["_target_"])
    if not target.startswith("vaa.stages."):
        raise ConfigError(f"stages.{name} is {target}: only the stages of vaa.stages can be tuned.")
    if hasattr(get_class(target), "absorb"):
        raise ConfigError(
            f"stages.{name} needs a model. Run the method with smoothing=none position=none, read its scores with "
            "method=scored scores.root=RUN/scores, and tune that run."
        )
    try:
        if "root" in part:
            part = OmegaConf.merge(part, {"root": str(cwd / part.root)})
        stage = instantiate(OmegaConf.to_container(part, resolve=True), _convert_="all")
    except (InstantiationException, OmegaConfBaseException) as error:
        raise ConfigError(f"stages.{name}: {error.__cause__ or error}") from error
    if not isinstance(stage, Transform):
        raise ConfigError(f"stages.{name} is {target}, which is not a stage.")
    return stage
