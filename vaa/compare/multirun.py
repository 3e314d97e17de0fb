"""What is known of a multirun while its jobs run: its folder, and the errors of failed jobs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

from vaa.errors import OutputError, format_error

ERROR_FILE = ".hydra/error.txt"


@dataclass
class _Multirun:
    folder: Path | None = None


@cache
def _multirun() -> _Multirun:
    """The multirun of this process."""
    return _Multirun()


class RecordJobs(Callback):
    """Hydra's own mechanism to be told of jobs, in whichever process a launcher runs them (`hydra.callbacks`)."""

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Remember the folder of the multirun for `print_summary`."""
        _multirun().folder = Path(config.hydra.sweep.dir).absolute()

    def on_job_end(self, config: Any, job_return: Any, **_: Any) -> None:
        """Write the message of a failed job into its folder; none into a folder that belongs to another run."""
        error = job_return._return_value  # the property without underscore writes to stderr for a failed job
        file = Path(config.hydra.runtime.output_dir) / ERROR_FILE
        if isinstance(error, OutputError) or not file.parent.is_dir():
            return
        if isinstance(error, Exception):
            file.write_text(format_error(error) or type(error).__name__, encoding="utf-8")
        else:
            file.unlink(missing_ok=True)


def print_summary() -> None:
    """Print the table of the multirun's jobs; nothing after a single run."""
    folder = _multirun().folder
    if folder is not None:
        # Imported here only, so that a single run starts fast.
        importlib.import_module("vaa.compare.jobs").print_jobs(folder)
