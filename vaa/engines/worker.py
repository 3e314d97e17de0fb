"""The process of a Ray worker: one model, queried chunk by chunk."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa import process
from vaa.errors import ConfigError, VaaError
from vaa.models.base import Model, WaitStats, answer
from vaa.types import Answer, NoAnswer, Query


@dataclass(frozen=True, kw_only=True)
class ChunkResult:
    """Answers in the order of the queries, and the warnings and wait statistics logged meanwhile."""

    answers: Sequence[Answer | NoAnswer]
    warnings: Sequence[str]
    waits: Sequence[WaitStats]


class _LogCollector(logging.Handler):
    """Collects warnings and wait statistics for the driver: the output of a worker process is not shown."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.warnings: list[str] = []
        self.waits: list[WaitStats] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Store the record's warning or wait statistics."""
        if record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())
        elif isinstance(record.args, tuple):
            self.waits += [value for value in record.args if isinstance(value, WaitStats)]

    def clear(self) -> None:
        """Begin with the next chunk."""
        self.warnings, self.waits = [], []


class Worker:
    """A Ray actor with a model, which loads at the first query; relative paths are relative to `folder`, the driver's.

    Methods return a VaaError instead of raising it: Ray would wrap it in an error with a traceback.
    """

    def __init__(self, model: Model, folder: Path, decode_timeout: float) -> None:
        process.set_decode_timeout(decode_timeout)
        self._model, self._folder, self._log = model, folder, _LogCollector()
        logging.getLogger("vaa").addHandler(self._log)
        logging.getLogger("vaa").setLevel(logging.INFO)

    def ready(self) -> VaaError | None:
        """Enter the folder; the call returns as soon as the cluster has started the worker."""
        try:
            os.chdir(self._folder)
        except OSError as error:
            return ConfigError(
                f"engine=ray: a worker cannot open the folder {self._folder} ({error.strerror}). Start the run from "
                "a file system that all machines of the cluster share."
            )
        return None

    def answer(self, queries: Sequence[Query]) -> ChunkResult | VaaError:
        """All answers to a chunk of queries."""
        self._log.clear()
        try:
            answers = list(answer(self._model, queries))
        except VaaError as error:
            return error
        return ChunkResult(answers=answers, warnings=self._log.warnings, waits=self._log.waits)
