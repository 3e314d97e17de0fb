"""Compose, analyse, evaluate, log: `python run.py --help` says what there is to choose from."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaa import overrides
from vaa.memo import Memo
from vaa.pipeline import analyse
from vaa.report import doctor, files, notices, numbers, plots, screen
from vaa.types import VaaError

log = logging.getLogger("vaa")
READ = (
    "stages",
    "data",
    "engine",
    "protocol",
    "limit",
    "reader",
    "memo",
    "max_unread",
    "plots",
    "meteor_jar",
    "doctor",
    "wandb",
)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """One job: a method over a data set. A job of a multirun raises what ends it, a single run says it and exits."""
    try:
        job(cfg, HydraConfig.get())
    except (VaaError, InstantiationException, OmegaConfBaseException) as error:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise
        log.debug("the run ended by", exc_info=True)
        log.error("%s", screen.plainly(error))
        sys.exit(getattr(error, "status", 1))


def job(cfg: DictConfig, hydra_cfg: Any) -> None:
    """Run the composed method; whatever happens, what was found is written and the W&B run is finished."""
    useless = overrides.unused(OmegaConf.to_container(cfg), hydra_cfg.overrides.task, READ)
    if useless:
        stages = ", ".join(cfg.stages)
        raise VaaError(f"{', '.join(useless)}: would change nothing, since no stage of this run uses it ({stages}).")
    parts = instantiate(cfg, _convert_="all")
    stages = {name: stage for name, stage in parts["stages"].items() if stage is not None}
    if cfg.doctor:
        found = doctor.examine(stages)
        log.info("%s", "\n".join(found.lines))
        if not found.fits:
            raise VaaError("This run does not fit this machine; see above.")
        return
    catalogue = parts["data"].load()
    folder = Path(hydra_cfg.runtime.output_dir)
    tracking = parts["wandb"]
    if hydra_cfg.mode is RunMode.MULTIRUN:
        group = tracking.group or Path(hydra_cfg.sweep.dir).name
        tracking = dataclasses.replace(tracking, group=group, name=tracking.name or hydra_cfg.job.override_dirname)
    choices = {group: name for group, name in hydra_cfg.runtime.choices.items() if not group.startswith("hydra/")}
    config = {**OmegaConf.to_container(cfg, resolve=True), "choices": choices}
    with tracking.run(config, folder) as tracked:
        warnings = notices.notices(stages.values(), catalogue.name)
        outcome = analyse(catalogue.videos[: cfg.limit], catalogue.truths, stages, parts["engine"], Memo(cfg.memo))
        for failure in catalogue.failures:
            outcome.fail(failure.video, failure.stage, failure.reason)
        files.write(folder, outcome, warnings)
        metrics = numbers.numbers(outcome, catalogue, parts["protocol"], cfg.meteor_jar)
        files.write_metrics(folder, metrics)
        if cfg.plots:
            plots.overview(folder / "overview.png", outcome, catalogue, parts["protocol"], warnings)
        tracked.summary.update({**metrics, **numbers.seconds(outcome), "notices": warnings})
        screen.show(metrics, folder, warnings)
        numbers.check(metrics, cfg.max_unread)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    main()
