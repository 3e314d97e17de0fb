"""In a pool of workers on this machine's GPUs or on a Ray cluster's, each with the whole model."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vaa.engines.chunks import cut
from vaa.engines.pool import WorkerPool
from vaa.engines.worker import Worker
from vaa.errors import VaaError
from vaa.models.base import Model
from vaa.types import Answer, NoAnswer, Query

log = logging.getLogger("vaa")

_SHARES = 4  # chunks a worker at least, so that none waits long for the last one
_WORTH = 8  # questions are worth a hand-over
_STORE = 200 * 2**20  # bytes: questions and answers are small, frames never travel
_QUIETLY = (
    "RAY_USAGE_STATS_ENABLED",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",  # else it warns of what it will do one day
    "RAY_worker_niceness",  # else workers step back behind everybody, where `engine=local` does not
)


@dataclass(frozen=True)
class RayEngine:
    """Deals chunks of neighbouring questions to workers and gives their answers in the order of the questions.

    `address` of a running cluster ("auto": the one of this machine), None for one of our own on this machine, which
    ends with the run. `workers` processes, None for as many as fit; each holds `gpus` (a share of one, or several; None
    for one where there are any) and `cpus` (None for an equal part), of which all but one prepare frames beside the
    model where that says nothing itself. At most `chunk` questions are handed out at once. A chunk over which
    `attempts` workers were lost is halved until the question is found that none survives; it stays unanswered.
    """

    address: str | None
    workers: int | None
    gpus: float | None
    cpus: float | None
    chunk: int
    attempts: int

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("gpus", 0), ("cpus", 0.01), ("chunk", 1), ("attempts", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise VaaError(f"engine.{name}={value}: give at least {least}.")

    def ask(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        """One answer a question, in their order.

        Raises:
            VaaError: there is no such cluster, no worker fits on a machine of it, or a worker cannot go on.
        """
        pool = self._pool(model)
        size = min(self.chunk, max(_WORTH, -(-len(queries) // (_SHARES * pool.size))))
        try:
            yield from pool.ask(cut(queries, size))
        except BaseException:  # an interrupt too: what is under way is of no use to anybody
            self.release(model)
            raise

    def release(self, model: Model) -> None:
        """End the model's workers."""
        pool = _pools.pop((self, model), None)
        if pool is not None:
            pool.close()
        model.release()

    def _pool(self, model: Model) -> WorkerPool:
        """The model's workers; those of other models go, since they may hold all there is."""
        if (self, model) not in _pools:
            for engine, other in list(_pools):
                engine.release(other)
            self._connect()
            import ray

            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            size, cpus, gpus = self.shape(nodes)
            log.info("engine=ray: %d workers with %g CPUs and %g GPUs each", size, cpus, gpus)
            given = _fed(model, int(cpus) - 1), Path.cwd()
            actor = ray.remote(Worker).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
            _pools[self, model] = WorkerPool(lambda: actor.remote(*given), size, self.attempts)
        return _pools[self, model]

    def shape(self, nodes: Sequence[Mapping[str, float]]) -> tuple[int, float, float]:
        """How many workers, and the CPUs and GPUs of each, on machines with these resources.

        Raises:
            VaaError: no machine has what one worker is to hold.
        """
        there = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
        gpus = float(any(gpu for _, gpu in there)) if self.gpus is None else self.gpus
        able = [(cpu, gpu) for cpu, gpu in there if gpu >= gpus and cpu]
        cpus = self.cpus or min(
            (self._part(cpu, gpu / gpus if gpus else cpu, len(able)) for cpu, gpu in able), default=1
        )
        fitting = sum(int(min(cpu / cpus, gpu / gpus if gpus else cpu / cpus) + 1e-9) for cpu, gpu in able)
        if not fitting:
            has = "; ".join(f"{cpu:g} CPUs and {gpu:g} GPUs" for cpu, gpu in there) or "nothing"
            raise VaaError(
                f"engine=ray: a worker is to hold {cpus:g} CPUs and {gpus:g} GPUs, the machines have {has}. "
                "Set engine.cpus and engine.gpus to what one of them has."
            )
        if self.workers and self.workers > fitting:
            log.warning("engine.workers=%d: only %d of %g CPUs and %g GPUs fit.", self.workers, fitting, cpus, gpus)
        return min(self.workers or fitting, fitting), cpus, gpus

    def _part(self, cpus: float, most: float, machines: int) -> float:
        """A worker's CPUs, whole ones where there is one, on one of several machines for `most` workers."""
        part = cpus / (self.workers / machines if self.workers else most)
        return float(int(part)) if part > 1 else part

    def _connect(self) -> None:
        for name in _QUIETLY:
            os.environ.setdefault(name, "0")
        try:
            import ray
        except ImportError as error:
            raise VaaError("engine=ray: Ray is not installed: pip install 'vaa[ray]', or engine=local.") from error
        if ray.is_initialized():
            return
        own: dict[str, Any] = {} if self.address else {"include_dashboard": False, "object_store_memory": _STORE}
        try:
            ray.init(self.address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise VaaError(
                f"engine.address={self.address}: no Ray cluster answers there ({error}). Start one with "
                "'ray start --head', or leave engine.address=null for one on this machine."
            ) from error


_pools: dict[tuple[RayEngine, Model], WorkerPool] = {}


def _fed(model: Any, spare: int) -> Model:
    """The model with so many processes that prepare frames, where it leaves their number open."""
    found: Model = replace(model, workers=max(0, spare)) if getattr(model, "workers", 0) is None else model
    return found
