"""What this machine has to run a model with."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from vaa.models.checkpoints.hub import hub_fault

_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Gpu:
    """A CUDA device; memory in bytes."""

    name: str
    total: int
    free: int


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine. `memory` respects the limit of a container; `disk` is free where the hub's cache is; both in bytes.

    `libraries` are the optional Python modules that are installed; if `offline`, nothing is downloaded. `hub` is why
    the hub is not reached, "" if it is, None if it was not tried.
    """

    memory: int
    disk: int
    cores: int
    gpus: tuple[Gpu, ...]
    torch: str
    libraries: frozenset[str]
    offline: bool
    hub: str | None


def inspect_machine(libraries: Iterable[str], *, try_hub: bool) -> Machine:
    """This machine; `libraries` are the modules to look for, `try_hub` sends a request to the hub."""
    import torch
    from huggingface_hub import constants

    gpus = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        gpus.append(Gpu(torch.cuda.get_device_name(number), total, free))
    cache = Path(constants.HF_HUB_CACHE)
    return Machine(
        memory=_memory(),
        disk=shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.is_dir())).free,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        gpus=tuple(gpus),
        torch=str(torch.__version__),
        libraries=frozenset(name for name in libraries if find_spec(name) is not None),
        offline=bool(constants.HF_HUB_OFFLINE),
        hub=hub_fault() if try_hub and not constants.HF_HUB_OFFLINE else None,
    )


@cache
def matrix_rate(dtype: str, *, on_gpu: bool) -> float:
    """Measure how many floating-point operations per second a large matrix product makes here."""
    import torch

    side, device = (8192, "cuda") if on_gpu else (1024, "cpu")
    factor = torch.ones((side, side), dtype=getattr(torch, dtype), device=device)
    best = float("inf")
    for _ in range(4):  # the first one includes start-up
        start = time.perf_counter()
        _ = factor @ factor
        if on_gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * float(side) ** 3 / best


def _memory() -> int:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        memory = 16 * 2**30  # Windows needs another library to know it: a common size
    for file in map(Path, _MEMORY_LIMITS):
        limit = file.read_text(encoding="ascii").strip() if file.is_file() else "max"
        memory = min(memory, int(limit) if limit.isdigit() else memory)
    return memory
