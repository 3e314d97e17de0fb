"""The command `vaa`, which is `python run.py` in a clone: help, or what Hydra composes from the command line."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

from vaa import choices, mistakes, overrides, process
from vaa.errors import VaaError, exit_status, format_error
from vaa.installation import CONF, search_path

log = logging.getLogger("vaa")


def main() -> None:
    """Do what the command line says."""
    if choices.help_requested(sys.argv[1:]):
        sys.stdout.write(choices.help_text(sys.argv[1:]))
        sys.exit(0)
    process.configure()
    run_command()


def run_command() -> None:
    """Run jobs; a mistake in the command line ends with a message that says what to write instead.

    Hydra prints errors itself, some with a traceback, unless HYDRA_FULL_ERROR is set.
    """
    import hydra
    from hydra.errors import InstantiationException

    full_errors = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = mistakes.hydra_arguments(sys.argv[1:])
    try:
        overrides.check_sweep_folder(sys.argv[1:])
        choices.check_own_conf()
        sys.argv[1:] = _with_search_path(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(run)()
    except Exception as error:
        known = isinstance(error, VaaError | InstantiationException)
        message = format_error(error) if known else mistakes.explain(error, sys.argv[1:])
        if full_errors or message is None:
            raise
        log.error("%s", message)
        sys.exit(exit_status(error))
    finally:
        multirun = importlib.import_module("vaa.compare.multirun")  # it imports Hydra
        multirun.print_summary()


def _with_search_path(args: list[str]) -> list[str]:
    """The arguments with the user's own `conf/`, before the first override: Hydra takes no option between overrides."""
    if any(arg.startswith("hydra.searchpath=") for arg in args):
        return args
    overrides = (k for k, arg in enumerate(args) if arg.startswith("~") or ("=" in arg and not arg.startswith("-")))
    first = next(overrides, len(args))
    return [*args[:first], *search_path(), *args[first:]]


def run(cfg: Any) -> None:
    """Run one job; what a job needs is imported when it starts, so that --cfg starts fast."""
    importlib.import_module("vaa.job").run(cfg)
