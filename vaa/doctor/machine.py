"""What this machine has to run a model with."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Gpu:
    """A CUDA device; memory in bytes."""

    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Machine:
    """Memory (of this container, where it has a limit) and the disk of the hub's cache, in bytes.

    `torch` is its build, `libraries` are the optional ones that are here; with `offline` nothing is downloaded.
    """

    memory: int
    disk: int
    cores: int
    gpus: tuple[Gpu, ...]
    torch: str
    libraries: frozenset[str]
    offline: bool

    @property
    def flashes(self) -> bool:
        """Whether flash attention can be had."""
        return bool(self.gpus) and "flash_attn" in self.libraries


def look(libraries: tuple[str, ...]) -> Machine:
    """This machine; of `libraries`, those that can be imported."""
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
    )


def _memory() -> int:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        memory = 16 * 2**30  # Windows does not say without further libraries: a common size
    for limit in map(Path, _LIMITS):
        said = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
        memory = min(memory, int(said) if said.isdigit() else memory)
    return memory
