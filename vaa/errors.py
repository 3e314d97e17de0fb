"""The errors of vaa. Each message says what is wrong, where, and what to do; each class has an exit status."""

from __future__ import annotations

import re
from typing import ClassVar

INTERRUPTED = 130
"""Exit status of a run that Control-C stopped."""


class VaaError(Exception):
    """Base class: an error that ends the run and that a person can fix."""

    exit_status: ClassVar[int] = 1


class ConfigError(VaaError):
    """A setting is wrong: a choice, a field or a combination of them."""

    exit_status = 2


class DataError(VaaError):
    """A data set, an annotation file or a finished run cannot be read."""

    exit_status = 5


class VideoError(DataError):
    """One video cannot be used. It is recorded as a Failure, and the others continue, up to `max_failed` of them.

    If it cannot be decoded: the decoder raises this error, `decode_frames` (video/prefetch.py) passes its text on, the
    model (models/transformers/batching.py) yields it as the reason of a NoAnswer, and `_run_model_stage` (pipeline.py)
    records the Failure by `RunResult.fail`.
    """


class DecodeTimeoutError(VideoError):
    """Opening or decoding a video took longer than `decode_timeout`."""


class ModelError(VaaError):
    """A model cannot be loaded, reached or run."""

    exit_status = 6


class CacheError(VaaError):
    """The cache file cannot be read or written."""

    exit_status = 7


class OutputError(VaaError):
    """Results cannot be written."""

    exit_status = 8


class TooManyFailedError(VaaError):
    """More videos failed than `max_failed` allows; what was finished is written. Raised by `check_complete`."""

    exit_status = 3


class TooManyUnparsedError(VaaError):
    """More answers are unparsed than `max_unparsed` allows; all files are written. Raised by `check_complete`."""

    exit_status = 4


def require_at_least(minimum: float, **settings: float | None) -> None:
    """Check lower bounds; a setting that is None has none.

    Raises:
        ConfigError: a setting is lower, or NaN.
    """
    for name, value in settings.items():
        if value is not None and not value >= minimum:
            raise ConfigError(f"{name}={value}: must be at least {minimum:g}.")


def require_share(**settings: float) -> None:
    """Check scores, probabilities and shares.

    Raises:
        ConfigError: a setting is outside [0, 1], or NaN.
    """
    for name, value in settings.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{name}={value}: must be between 0 and 1.")


def format_error(error: BaseException) -> str:
    """The message of an error, with the config key if it is one of Hydra or OmegaConf; a component's own if wrapped."""
    cause = error
    while cause.__cause__ is not None and type(cause).__name__ == "InstantiationException":
        cause = cause.__cause__
    text = re.split(r"\n *full_key: ", str(cause).strip())[0]
    match = re.search(r"^ *full_key: (.+)$", str(error), re.MULTILINE)
    if match is None:
        return text
    key = match[1].removeprefix("run.")  # the config is instantiated under `run`, which users do not type
    text = text.replace(f"run.{key}", key)
    return text if key == "run" or key in text else f"{text}\n(config key: {key})"


def exit_status(error: BaseException) -> int:
    """The exit status of an error: 130 for an interrupt, else that of the VaaError in it, else that of a ConfigError.

    Hydra's and OmegaConf's own errors are those of a config that cannot be composed.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, VaaError | KeyboardInterrupt):
        cause = cause.__cause__
    if isinstance(cause, KeyboardInterrupt):
        return INTERRUPTED
    return cause.exit_status if isinstance(cause, VaaError) else ConfigError.exit_status
