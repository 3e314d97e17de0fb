"""The engine of a pool of workers on this machine's GPUs or on a Ray cluster, each with the whole model."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vaa import process
from vaa.engines.pool import WorkerPool, split
from vaa.engines.worker import Worker
from vaa.errors import ConfigError
from vaa.models.base import HasWorkers, Model
from vaa.types import Answer, NoAnswer, Query

log = logging.getLogger("vaa")

_CHUNKS_PER_WORKER = 4  # at least, so that no worker waits long for the last chunk of another
_MIN_CHUNK = 8  # queries; fewer are not worth a call
_OBJECT_STORE = 200 * 2**20  # bytes: queries and answers are small, and frames are never sent
_MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103  # bytes: the operating system's limit
_SOCKET_NAME = len("/session_2026-01-31_12-00-00_000000_4194304/sockets/plasma_store.1")
_TMP = "/tmp"  # noqa: S108 (Ray's own default; it makes a folder of its own there)
_DISABLED = (
    "RAY_USAGE_STATS_ENABLED",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",  # avoids a warning about a future default
    "RAY_worker_niceness",  # by default workers run at a lower priority than other programs
)


@dataclass(frozen=True, kw_only=True)
class WorkerLayout:
    """Number of workers, and the CPUs and GPUs of each."""

    workers: int
    cpus: float
    gpus: float


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Sends chunks of neighbouring queries to workers and yields the answers in the order of the queries.

    Args:
        address: of a running cluster ("auto" for one on this machine), or None to start one that ends with the run.
        workers: number of worker processes, None for as many as the cluster's CPUs and GPUs allow.
        gpus: of a worker, also a fraction; None for 1 if the cluster has GPUs.
        cpus: of a worker, None for equal shares. All but one prepare frames if the model leaves their number open.
        chunk: queries sent at a time, at most.
        attempts: workers lost while answering a chunk before it is halved; a single query then has no answer.
    """

    address: str | None
    workers: int | None
    gpus: float | None
    cpus: float | None
    chunk: int
    attempts: int

    def __post_init__(self) -> None:
        for name, minimum in (("workers", 1), ("gpus", 0), ("cpus", 0.01), ("chunk", 1), ("attempts", 1)):
            if (value := getattr(self, name)) is not None and value < minimum:
                raise ConfigError(f"engine.{name}={value}: must be at least {minimum}.")

    def answer(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        """One answer per query, in order.

        Raises:
            ConfigError: there is no such cluster, or no machine of it has the CPUs and GPUs of a worker.
            VaaError: the model's own, from a worker.
        """
        pool = self._pool(model)
        size = min(self.chunk, max(_MIN_CHUNK, -(-len(queries) // (_CHUNKS_PER_WORKER * pool.size))))
        try:
            yield from pool.answer(split(queries, size))
        except BaseException:  # an interrupt too: the chunks being answered are not needed any more
            self.release(model)
            raise

    def release(self, model: Model) -> None:
        """End the model's workers."""
        pool = _pools.pop((self, model), None)
        if pool is not None:
            pool.close()
        model.release()

    def layout(self, nodes: Sequence[Mapping[str, float]]) -> WorkerLayout:
        """The workers that fit on machines with these Ray resources.

        Raises:
            ConfigError: no machine has the CPUs and GPUs of a worker.
        """
        machines = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
        gpus = float(any(gpu for _, gpu in machines)) if self.gpus is None else self.gpus
        suitable = [(cpu, gpu) for cpu, gpu in machines if gpu >= gpus and cpu]
        cpus = self.cpus or min(
            (self._cpu_share(cpu, gpu / gpus if gpus else cpu, len(suitable)) for cpu, gpu in suitable), default=1
        )
        limit = sum(int(min(cpu / cpus, gpu / gpus if gpus else cpu / cpus) + 1e-9) for cpu, gpu in suitable)
        if not limit:
            resources = "; ".join(f"{cpu:g} CPUs and {gpu:g} GPUs" for cpu, gpu in machines) or "nothing"
            raise ConfigError(
                f"engine=ray: a worker needs {cpus:g} CPUs and {gpus:g} GPUs; the machines have {resources}. "
                "Set engine.cpus and engine.gpus to what one of them has."
            )
        if self.workers and self.workers > limit:
            log.warning("engine.workers=%d: only %d of %g CPUs and %g GPUs fit.", self.workers, limit, cpus, gpus)
        return WorkerLayout(workers=min(self.workers or limit, limit), cpus=cpus, gpus=gpus)

    def _pool(self, model: Model) -> WorkerPool:
        """The model's pool; pools of other models are closed first, since they may occupy all GPUs."""
        if (self, model) not in _pools:
            for engine, other in list(_pools):
                engine.release(other)
            self._connect()
            import ray

            layout = self.layout([node["Resources"] for node in ray.nodes() if node["Alive"]])
            log.info("engine=ray: %d workers with %g CPUs and %g GPUs each", layout.workers, layout.cpus, layout.gpus)
            args = _with_decoders(model, int(layout.cpus) - 1), Path.cwd(), process.decode_timeout()
            actor = ray.remote(Worker).options(
                num_cpus=layout.cpus, num_gpus=layout.gpus, max_restarts=0, max_task_retries=0
            )
            _pools[self, model] = WorkerPool(
                start=lambda: actor.remote(*args), size=layout.workers, attempts=self.attempts
            )
        return _pools[self, model]

    def _cpu_share(self, cpus: float, max_workers: float, n_machines: int) -> float:
        """CPUs of a worker on one of the suitable machines: a whole number if there is at least one."""
        share = cpus / (self.workers / n_machines if self.workers else max_workers)
        return float(int(share)) if share > 1 else share

    def _connect(self) -> None:
        for name in _DISABLED:
            os.environ.setdefault(name, "0")
        try:
            import ray
        except ImportError as error:
            raise ConfigError("engine=ray: Ray is not installed: pip install ray, or engine=local.") from error
        if ray.is_initialized():
            return
        new: dict[str, Any] = {} if self.address else {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
        if not self.address:
            new["_temp_dir"] = temp_dir()
        try:
            ray.init(self.address or "local", log_to_driver=False, logging_level=logging.ERROR, **new)
        except (OSError, RuntimeError, ValueError) as error:
            if not self.address:
                raise ConfigError(
                    f"engine=ray: Ray cannot start on this machine ({error}). Its files go to {new['_temp_dir']}: set "
                    "RAY_TMPDIR to a writable folder with a short path if they cannot. Or use engine=local."
                ) from error
            raise ConfigError(
                f"engine.address={self.address}: no Ray cluster answers at this address ({error}). Start one with "
                "'ray start --head', or give engine.address=null to start one on this machine."
            ) from error


def temp_dir() -> str:
    """The folder of Ray's files: Ray's own choice, or /tmp/ray where sockets in that would have too long a path.

    Raises:
        ConfigError: RAY_TMPDIR itself is too long.
    """
    longest = _MAX_SOCKET_PATH - _SOCKET_NAME - len("/ray")
    chosen = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or _TMP).absolute()  # as Ray chooses it
    if len(os.fsencode(chosen)) <= longest:
        return f"{chosen}/ray"
    if os.environ.get("RAY_TMPDIR"):
        raise ConfigError(
            f"RAY_TMPDIR={chosen}: too long for engine=ray, whose sockets lie in it: give a folder whose path has at "
            f"most {longest} bytes, such as /tmp."
        )
    log.info(
        "engine=ray: Ray's files go to /tmp/ray, since TMPDIR is too long for sockets. RAY_TMPDIR chooses another."
    )
    return f"{_TMP}/ray"


_pools: dict[tuple[RayEngine, Model], WorkerPool] = {}


def _with_decoders(model: Model, processes: int) -> Model:
    """The model with this number of processes that prepare frames, if its field `workers` is None."""
    if isinstance(model, HasWorkers) and model.workers is None:
        return replace(model, workers=max(0, processes))  # type: ignore[type-var]  # models are dataclasses
    return model
