"""What runs in a worker's own process: one model, asked chunk after chunk."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa.errors import VaaError
from vaa.models.base import Model, WaitStats, answer
from vaa.types import Answer, NoAnswer, Query


@dataclass(frozen=True)
class WorkerAnswers:
    """Answers in the order of the questions, what was warned of meanwhile, and the waiting for pixels, if any."""

    answers: Sequence[Answer | NoAnswer]
    warnings: Sequence[str]
    waited: Sequence[WaitStats]


@dataclass(frozen=True)
class WorkerError:
    """What a person has to mend."""

    message: str


class _LogCollector(logging.Handler):
    """Keeps what is said until it is fetched: nobody reads a worker's own output."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.warnings: list[str] = []
        self.waited: list[WaitStats] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        if record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())
        elif isinstance(record.args, tuple):
            self.waited += [said for said in record.args if isinstance(said, WaitStats)]

    def fetched(self, answers: Sequence[Answer | NoAnswer]) -> WorkerAnswers:
        """The answers, with what was said since the last time."""
        said = WorkerAnswers(answers, self.warnings, self.waited)
        self.warnings, self.waited = [], []
        return said


class Worker:
    """Holds a model, which loads with the first question; paths mean what they mean to the driver, in `folder`."""

    def __init__(self, model: Model, folder: Path) -> None:
        self._model, self._folder, self._kept = model, folder, _LogCollector()
        logging.getLogger("vaa").addHandler(self._kept)
        logging.getLogger("vaa").setLevel(logging.INFO)

    def ready(self) -> WorkerError | None:
        """Answered as soon as the worker has its place."""
        try:
            os.chdir(self._folder)
        except OSError as error:
            return WorkerError(
                f"engine=ray: a worker cannot see the folder {self._folder} ({error.strerror}). Workers on other "
                "machines need the same folders: start the run from a file system that all machines share."
            )
        return None

    def answer(self, queries: Sequence[Query]) -> WorkerAnswers | WorkerError:
        """All answers at once; an error meant for people as words, since a traceback would hide them."""
        try:
            answers = list(answer(self._model, queries))
        except VaaError as error:
            return WorkerError(str(error))
        return self._kept.fetched(answers)
