"""One job: a composed config becomes an experiment, which runs in a folder of its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from vaa import config_check, overrides, process
from vaa.choices import GROUPS
from vaa.errors import INTERRUPTED, ConfigError, VaaError, exit_status, format_error
from vaa.experiment import JobContext, job_history
from vaa.installation import add_working_directory
from vaa.report.run_folder import claim, output_errors
from vaa.tracking.run import config_columns, job_name

log = logging.getLogger("vaa")
SETTINGS = {"doctor": bool, "decode_timeout": float}
"""Settings that are not fields of the experiment, with their types."""


def run(cfg: Any) -> None:
    """Run one job of Hydra. An error ends a single run with its exit status; in a multirun the launcher gets it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import InstantiationException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    try:
        with process.graceful_interrupts():
            run_job(cfg, HydraConfig.get())
    except KeyboardInterrupt:
        log.error("Interrupted. All answers so far are cached: run the same command to continue.")
        sys.exit(INTERRUPTED)
    except (VaaError, InstantiationException, OmegaConfBaseException) as error:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise
        log.debug("The run ended with an error.", exc_info=True)
        log.error("%s", format_error(error))
        sys.exit(exit_status(error))


def run_job(cfg: Any, hydra_cfg: Any) -> None:
    """Run the experiment in a folder of its own, or with `doctor=true` only check whether it can run."""
    folder, words = Path(hydra_cfg.runtime.output_dir), _overrides(hydra_cfg)
    with nullcontext() if cfg.doctor else claim(folder, words):
        if not cfg.doctor:
            write_config(folder / ".hydra", cfg, hydra_cfg)
        run_experiment(cfg, hydra_cfg)


def write_config(folder: Path, cfg: Any, hydra_cfg: Any) -> None:
    """Write what Hydra writes by default; Hydra does it before the folder is known to belong to no other run."""
    from omegaconf import OmegaConf

    parts = {"config": cfg, "hydra": {"hydra": hydra_cfg}, "overrides": hydra_cfg.overrides.task}
    with output_errors(folder):
        for name, part in parts.items():
            (folder / f"{name}.yaml").write_text(OmegaConf.to_yaml(part), encoding="utf-8")


def _overrides(hydra_cfg: Any) -> list[str]:
    """The overrides as they were written: iterating over Hydra's own list would resolve references in them."""
    from omegaconf import OmegaConf

    words: Any = OmegaConf.to_container(hydra_cfg.overrides.task)
    return list(words)


def _choices(hydra_cfg: Any, words: Sequence[str]) -> dict[str, Any]:
    """Config group -> its choice; of several, which Hydra does not record, the text: `protocol=[lavad,macro]`."""
    pairs = (word.partition("=") for word in words)
    several = {key: value.strip("[]") for key, _, value in pairs if key in GROUPS and value.startswith("[")}
    return {**hydra_cfg.runtime.choices, **several}


def instantiate(cfg: Any, hydra_cfg: Any) -> Any:
    """The experiment of a composed config; its `decode_timeout` is set for this process.

    Raises:
        ConfigError: a setting is missing, unknown, of another type, or has no effect.
    """
    import hydra
    from omegaconf import OmegaConf

    add_working_directory()
    config: Any = OmegaConf.to_container(cfg)
    words, resolve = _overrides(hydra_cfg), partial(OmegaConf.select, cfg, throw_on_resolution_failure=False)
    config_check.check(config, resolve, words, _choices(hydra_cfg, words), SETTINGS)
    skip = set() if cfg.causal else {"online"}
    unused = overrides.unused(config, words, used={"run", *SETTINGS}, skip=skip)
    if unused:
        raise ConfigError(f"{', '.join(unused)}: has no effect: no stage uses it ({', '.join(cfg.stages)}).")
    process.set_decode_timeout(cfg.decode_timeout)
    return hydra.utils.instantiate(cfg.run, _convert_="all")


def run_experiment(cfg: Any, hydra_cfg: Any) -> None:
    """Instantiate the experiment and run it or check whether it can run."""
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    process.assign_gpu()
    experiment = instantiate(cfg, hydra_cfg)
    if cfg.doctor:
        experiment.check(Path(hydra_cfg.runtime.output_dir))
        return
    config: Any = OmegaConf.to_container(cfg)
    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    words = _overrides(hydra_cfg)
    multirun = hydra_cfg.mode is RunMode.MULTIRUN
    swept = overrides.swept(Path(hydra_cfg.runtime.cwd, hydra_cfg.sweep.dir, "multirun.yaml")) if multirun else {}
    context = JobContext(
        folder=Path(hydra_cfg.runtime.output_dir),
        overrides=words,
        columns=config_columns(config, resolved, _choices(hydra_cfg, words)),
        group=Path(hydra_cfg.sweep.dir).name if multirun else None,
        name=job_name(swept, words, hydra_cfg.job.num) if multirun else None,
        number=hydra_cfg.job.num if multirun else None,
    )
    experiment.run(context, job_history())
