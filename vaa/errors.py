"""The errors of vaa. Each message says what is wrong, where, and what to do; each class has an exit status."""

from __future__ import annotations

from typing import ClassVar


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
    """One video cannot be used: it is recorded as a failure, the other videos continue."""


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
    """More videos failed than `max_failed` allows; what was finished is written."""

    exit_status = 3


class TooManyUnparsedError(VaaError):
    """More answers could not be parsed than `max_unparsed` allows; all files are written."""

    exit_status = 4
