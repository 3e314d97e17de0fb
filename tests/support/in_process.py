"""`python run.py ARGS` in this process, without its log, plots, page, alerts and W&B."""

from __future__ import annotations

from pathlib import Path

from command_line import compose_args
from omegaconf import open_dict

from vaa.experiment import JobContext, JobHistory
from vaa.job import instantiate, write_config

QUIET = ("cache=null", "plots=false", "page=null", "alerts=null", "wandb.mode=disabled")


def run(folder: Path, *args: str) -> Path:
    """The folder of the finished run, which is `folder`."""
    cfg = compose_args([*args, *QUIET])
    hydra_cfg = cfg.hydra
    with open_dict(cfg):
        del cfg["hydra"]
    (folder / ".hydra").mkdir(parents=True)
    write_config(folder / ".hydra", cfg, hydra_cfg)
    context = JobContext(folder=folder, overrides=[*args, *QUIET], columns={})
    instantiate(cfg, hydra_cfg).run(context, JobHistory())
    return folder
