"""What is tried: every combination of the values that the command line gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from vaa.errors import VaaError


@dataclass(frozen=True)
class Setting:
    """Fields or choices, each with its value as written: ("smoothing.sigma", "5"). None at all: the run as it is."""

    changes: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The changes as one would override them."""
        return " ".join(f"{key}={value}" for key, value in self.changes) or "as it is"


AS_IT_IS = Setting(())


def settings(grids: Sequence[Sequence[str]]) -> tuple[Setting, ...]:
    """The combinations of each grid's words `key=value,value`, grid after grid; each once, `AS_IT_IS` first.

    Raises:
        VaaError: a word is not of this form, or a grid names a key twice.
    """
    found = [AS_IT_IS]
    for words in grids:
        axes = [_axis(word) for word in words]
        keys = [key for key, _ in axes]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise VaaError(f"--grid: {', '.join(twice)} comes twice in one grid; give all its values in one word.")
        found += [Setting(tuple(zip(keys, values, strict=True))) for values in product(*(v for _, v in axes))]
    return tuple(dict.fromkeys(found))


def _axis(word: str) -> tuple[str, list[str]]:
    key, equals, given = word.partition("=")
    values = [value.strip() for value in given.split(",")]
    if not equals or not key or not all(values):
        raise VaaError(
            f"--grid {word}: expected KEY=VALUE,VALUE, as in smoothing.sigma=5,10,20 or position=none,centre."
        )
    return key, values
