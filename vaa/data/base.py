"""Data sets: which videos, and what is known of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from vaa.types import Dataset


@runtime_checkable
class DataSet(Protocol):
    """A data set; its name is what logs and tables call it."""

    def load(self) -> Dataset:
        """Its videos and their truth.

        Raises:
            VaaError: it is not there, or not in the layout it should have.
        """
