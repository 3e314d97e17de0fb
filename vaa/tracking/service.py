"""What is told to W&B, bounded in time: a service that dies or hangs is given up and costs the run nothing else."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vaa.process import run_with_timeout

log = logging.getLogger("vaa")
_DYING = 0.5  # seconds between what a dying service closes and its end
_LAST = 10.0  # seconds for the client's own end, once its service is gone

Made = TypeVar("Made")


@dataclass
class Service:
    """W&B's service process: each call is waited for `patience` seconds; after one that takes longer there is no other.

    `given_up` says so.
    """

    patience: float
    given_up: bool = field(default=False, init=False)

    def told(self, what: str, action: Callable[[], Made]) -> Made | None:
        """What the action makes, or None; what goes wrong at W&B is said."""
        if self.given_up:
            return None
        with wanted(what):
            try:
                return run_with_timeout(self.patience, action)
            except TimeoutError:
                self._give_up(f"{what} took longer than {self.patience:.0f} s (wandb.patience)")
            except Exception as error:
                if not (isinstance(error, ConnectionError) or _dead()):
                    raise
                self._give_up(f"{what} failed, since W&B's service died")
        return None

    def _give_up(self, why: str) -> None:
        """End the service: whoever waits for it, a thread left behind or W&B as this process ends, is freed."""
        self.given_up = True
        log.debug("W&B", exc_info=True)
        log.warning("W&B: %s. The service is given up; the results here are whole.", why)
        with suppress(Exception):
            run_with_timeout(_LAST, _end)


@contextmanager
def wanted(what: str) -> Iterator[None]:
    """What goes wrong on the way to W&B is said and costs the run nothing else."""
    try:
        yield
    except Exception as error:
        log.debug("W&B", exc_info=True)
        log.warning("W&B: %s is missing (%s: %s); the results here are whole.", what, type(error).__name__, error)


def _process() -> Any:
    """The service as `subprocess` knows it; None if it is not started, or this version of W&B keeps it elsewhere."""
    from wandb.sdk import wandb_setup

    service: Any = wandb_setup.singleton()
    with suppress(AttributeError):
        return service._connection._proc._process
    return None


def _dead() -> bool:
    process = _process()
    try:
        return process is not None and process.wait(_DYING) is not None
    except subprocess.TimeoutExpired:
        return False


def _end() -> None:
    """Kill the service, and let the client forget it, so that a next run begins with another one."""
    import wandb
    from wandb.sdk import wandb_setup

    with suppress(AttributeError):
        _process().kill()
        active: Any = wandb_setup.singleton()._active_runs
        for run in active:
            run._run_status_checker.stop()  # a thread that would die with a traceback
    with suppress(BaseException):  # it cannot tell the service, and may want to exit
        wandb.teardown()
