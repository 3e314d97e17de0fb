"""Calls to Weights & Biases, bounded in time: a service that dies or hangs is abandoned, and the run continues.

The only file that touches private attributes of the wandb package (0.31).
"""

from __future__ import annotations

import logging
import netrc
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlparse

from vaa.process import run_with_timeout

log = logging.getLogger("vaa")
_EXIT_DELAY = 0.5  # seconds between the last connection of a dying service and its end
_TEARDOWN_TIMEOUT = 10.0  # seconds for the client's teardown after its service was killed
_FORMER_URL = "https://api.wandb.ai"  # netrc files name it for W&B's own service, which has another address now
_INIT_TIMEOUT = 90.0

T = TypeVar("T")


@dataclass
class Service:
    """W&B's service process. Each call may take `timeout` seconds; after one that takes longer none is made."""

    timeout: float
    abandoned: bool = field(default=False, init=False)

    def call(self, name: str, action: Callable[[], T]) -> T | None:
        """The result of the action, or None; errors are logged with the `name` of what is missing."""
        if self.abandoned:
            return None
        with log_errors(name):
            try:
                return run_with_timeout(self.timeout, action)
            except TimeoutError:
                self._abandon(f"{name} took longer than {self.timeout:.0f} s (wandb.timeout)")
            except Exception as error:
                if not (isinstance(error, ConnectionError) or _service_died()):
                    raise
                self._abandon(f"{name} failed, since W&B's service process died")
        return None

    def _abandon(self, reason: str) -> None:
        """Kill the service, which frees threads that wait for it, and W&B's handlers at the end of this process."""
        self.abandoned = True
        log.debug("W&B", exc_info=True)
        log.warning("W&B: %s. The service is abandoned; the results on disk are complete.", reason)
        with suppress(Exception):
            run_with_timeout(_TEARDOWN_TIMEOUT, _kill_service)


@contextmanager
def log_errors(name: str) -> Iterator[None]:
    """Log an error on the way to W&B instead of raising it: it must not end the run."""
    try:
        yield
    except Exception as error:
        log.debug("W&B", exc_info=True)
        log.warning("W&B: %s is missing (%s: %s); results on disk are complete.", name, type(error).__name__, error)


def init_timeout() -> float:
    """The seconds that W&B itself allows for the start of a run."""
    try:
        return float(os.environ.get("WANDB_INIT_TIMEOUT") or _INIT_TIMEOUT)
    except ValueError:
        return _INIT_TIMEOUT


def default_mode() -> str:
    """`online` if there is an API key in the environment or the netrc file, else `offline`."""
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    import wandb

    base_url = os.environ.get("WANDB_BASE_URL")
    urls = [base_url] if base_url else [wandb.Settings().base_url, _FORMER_URL]
    hosts = [urlparse(url).hostname or "" for url in urls]
    with suppress(OSError, netrc.NetrcParseError):
        credentials = netrc.netrc()
        if any(credentials.authenticators(host) for host in hosts):
            return "online"
    return "offline"


def use_artifact(run: Any, artifact: Any) -> None:
    """Log an artifact as an input of a run.

    The public method refuses that offline; this record makes `wandb sync` do it later.
    """
    if run.offline:
        run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
    else:
        run.use_artifact(artifact)


def service_process() -> Any:
    """The service's `subprocess.Popen`; None if it is not started, or stored elsewhere in this version of wandb."""
    from wandb.sdk import wandb_setup

    service: Any = wandb_setup.singleton()
    with suppress(AttributeError):
        return service._connection._proc._process
    return None


def _service_died() -> bool:
    process = service_process()
    try:
        return process is not None and process.wait(_EXIT_DELAY) is not None
    except subprocess.TimeoutExpired:
        return False


def _kill_service() -> None:
    """Kill the service and reset the client, so that the next run starts a new service."""
    import wandb
    from wandb.sdk import wandb_setup

    process = service_process()
    with suppress(AttributeError):
        process.kill()
        active_runs: Any = wandb_setup.singleton()._active_runs
        for run in active_runs:
            run._run_status_checker.stop()  # a thread that would end with a traceback
    with suppress(BaseException):  # it cannot reach the service, and may call exit
        wandb.teardown()
    with suppress(AttributeError, subprocess.TimeoutExpired):
        process.wait(_EXIT_DELAY)  # else a killed process is left unreaped
