"""What `python run.py ARGS` does up to the first video, in this process: compose, check, instantiate."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from vaa import mistakes
from vaa.errors import VaaError, format_error
from vaa.installation import CONF
from vaa.job import instantiate


@cache
def _base(args: tuple[str, ...]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(args), return_hydra_config=True)


def compose_args(args: Sequence[str], fields: Sequence[str] = ()) -> DictConfig:
    """The config of `args`; `fields` are further overrides that choose no group, applied as Hydra applies them."""
    cfg = copy.deepcopy(_base(tuple(args)))
    ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides(list(fields)), cfg)
    with open_dict(cfg.hydra):
        cfg.hydra.overrides.task = [*args, *fields]
    return cfg


def experiment(args: Sequence[str], fields: Sequence[str] = ()) -> Any:
    """The experiment that `python run.py ARGS` would run, or the text that it ends with.

    An error that is none of a wrong command line is raised: it would be a traceback.
    """
    args, fields = mistakes.hydra_arguments(args), mistakes.hydra_arguments(fields)
    try:
        cfg = compose_args([arg for arg in args if not arg.startswith("-")], fields)
        hydra_cfg = cfg.hydra
        with open_dict(cfg):
            del cfg["hydra"]
        return instantiate(cfg, hydra_cfg)
    except (VaaError, InstantiationException) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, VaaError | OmegaConfBaseException):
            cause = cause.__cause__
        if cause is None:
            raise
        return format_error(error)
    except Exception as error:
        text = mistakes.explain(error, [*args, *fields])
        if text is None:
            raise
        return text
