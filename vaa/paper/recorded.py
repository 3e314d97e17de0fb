"""Where the authors' released files lie: side by side, or as `python -m vaa.data.fetch` brings each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa.errors import VaaError


@dataclass(frozen=True)
class ReleasedFiles:
    """The folders and files that rows name: `{urf}/ucf_crime`, `{corevad}`, `{labels_ucf}`, `{labels_xd}`."""

    urf: Path
    corevad: Path
    labels_ucf: Path
    labels_xd: Path

    def filled(self, override: str) -> str:
        """An override with its `{name}` replaced."""
        return override.format(**{name: str(getattr(self, name)) for name in self.__dataclass_fields__})


def recorded(folder: Path) -> ReleasedFiles:
    """Find them under `folder`, which holds `urf`, `corevad` and `vera`.

    Raises:
        VaaError: something is not there; all of it is named, with the command that brings it.
    """
    wanted = {
        "urf": ("urf", ("urf", "urf/data"), "ucf_crime/annotations/test.txt"),
        "corevad": ("corevad", ("corevad", "corevad/outputs"), "VLM_responses*.json"),
        "labels_ucf": ("vera", ("vera", "vera/Data"), "UCF_Eval.json"),
        "labels_xd": ("vera", ("vera", "vera/Data"), "xd_test_800.json"),
    }
    found, lacking = {}, []
    for name, (release, places, pattern) in wanted.items():
        there = [folder / place for place in places if any((folder / place).glob(pattern))]
        if there:
            found[name] = (there[0] / pattern if name.startswith("labels") else there[0]).resolve()
        else:
            lacking.append(f"\n  {pattern}: in none of {_listed(folder, places)}: {_fetch(release, folder)}")
    if lacking:
        raise VaaError(f"{folder} does not hold all that the authors released.{''.join(lacking)}")
    return ReleasedFiles(**found)


def _listed(folder: Path, places: Sequence[str]) -> str:
    return ", ".join(str(folder / place) for place in places)


def _fetch(release: str, folder: Path) -> str:
    return f"python -m vaa.data.fetch {release} {folder / release}"
