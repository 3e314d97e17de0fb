"""Compose, analyse, evaluate, log: `python run.py --help` says what there is to choose from."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaa import overrides, process
from vaa.errors import VaaError

# The rest of vaa is imported where a job begins: --help and --cfg answer at once.
log = logging.getLogger("vaa")
PARTS = "stages data engine protocol causal limit decoder cache max_unparsed max_failed plots meteor_jar page alerts "
PARTS += "details doctor wandb"


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """One job: a method over a data set. A job of a multirun raises what ends it, a single run says it and exits."""
    try:
        with process.graceful_interrupts():
            job(cfg, HydraConfig.get())
    except KeyboardInterrupt:
        log.error("Interrupted. What was answered is remembered: the same command goes on from there.")
        sys.exit(130)
    except (VaaError, InstantiationException, OmegaConfBaseException) as error:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise
        from vaa.report import console

        log.debug("the run ended by", exc_info=True)
        log.error("%s", console.plainly(error))
        sys.exit(getattr(error, "exit_status", 1))


def job(cfg: DictConfig, hydra_cfg: Any) -> None:
    """Compose the run and do it, or only say whether it could be done."""
    read = [*PARTS.split(), *(["online"] if cfg.causal else [])]
    useless = overrides.unused(OmegaConf.to_container(cfg), hydra_cfg.overrides.task, read)
    if useless:
        raise VaaError(f"{', '.join(useless)}: would change nothing, since no stage uses it: {', '.join(cfg.stages)}.")
    from vaa.doctor import diagnosis
    from vaa.evaluation import metrics
    from vaa.experiment import run, watch
    from vaa.report import files, reproduction
    from vaa.streaming.stream import Stream
    from vaa.tracking.columns import columns, job_name

    process.assign_gpu()
    parts = hydra.utils.instantiate(cfg, _convert_="all")
    stages = {name: stage for name, stage in parts["stages"].items() if stage is not None}
    parts["stages"] = parts["online"](stages) if cfg.causal else stages
    if cfg.doctor:
        diagnosis.say(parts["stages"])
        return
    if isinstance(parts["data"], Stream):
        watch(parts, Path(hydra_cfg.runtime.output_dir))
        return
    tracking = parts["wandb"]
    if hydra_cfg.mode is RunMode.MULTIRUN:
        group = tracking.group or Path(hydra_cfg.sweep.dir).name
        name = tracking.name or job_name(swept(hydra_cfg), hydra_cfg.overrides.task, hydra_cfg.job.num)
        tracking = dataclasses.replace(tracking, group=group, name=name)
    config = columns(OmegaConf.to_container(cfg), OmegaConf.to_container(cfg, resolve=True), hydra_cfg.runtime.choices)
    dataset, folder = parts["data"].load(), Path(hydra_cfg.runtime.output_dir)
    with files.written(folder):
        reproduction.write(folder, hydra_cfg.overrides.task)
    with tracking.run(config, folder) as tracked:
        found = run(parts, dataset, folder, tracked)
        metrics.check(found, cfg.max_unparsed, cfg.max_failed)


def swept(hydra_cfg: Any) -> dict[str, list[str]]:
    """Key -> its values, of what a multirun varies."""
    file = Path(hydra_cfg.runtime.cwd, hydra_cfg.sweep.dir, "multirun.yaml")
    whole = overrides.of_multirun(file) if file.is_file() else hydra_cfg
    asked = [*whole["overrides"]["task"], *(f"{k}={v}" for k, v in (whole["sweeper"].get("params") or {}).items())]
    sweeps = [o for o in OverridesParser.create().parse_overrides(asked) if o.is_sweep_override()]
    known = {o.get_key_element() for o in sweeps if not (o.is_interval_sweep() or isinstance(o.value(), Glob))}
    return {key: [*o.sweep_string_iterator()] if key in known else [] for o in sweeps if (key := o.get_key_element())}


if __name__ == "__main__":
    process.configure()
    main()
