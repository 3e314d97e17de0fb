"""How many workers of engine=ray fit on which machines; no Ray in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vaa.engines.ray import RayEngine
from vaa.errors import VaaError

ENGINE = RayEngine(address=None, workers=None, gpus=None, cpus=None, chunk=256, attempts=2)
SMALL, BOX, HEAD = {"CPU": 2.0}, {"CPU": 64.0, "GPU": 8.0, "memory": 1e12}, {"CPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "change", "expected"),
    [
        ([SMALL], {}, (2, 1, 0)),
        ([SMALL], {"workers": 1}, (1, 2, 0)),
        ([SMALL], {"workers": 4}, (4, 0.5, 0)),
        ([SMALL], {"cpus": 0.5}, (4, 0.5, 0)),
        ([BOX], {}, (8, 8, 1)),
        ([BOX], {"gpus": 0.5}, (16, 4, 0.5)),
        ([BOX], {"gpus": 2}, (4, 16, 2)),
        ([BOX], {"gpus": 0}, (64, 1, 0)),
        ([BOX], {"workers": 2, "cpus": 4}, (2, 4, 1)),
        ([HEAD, BOX, BOX], {}, (16, 8, 1)),  # nobody is put where there is no GPU
    ],
)
def test_as_many_as_fit_or_as_many_as_said(
    nodes: list[dict[str, float]], change: dict[str, float], expected: tuple[float, ...]
) -> None:
    assert replace(ENGINE, **change).shape(nodes) == expected  # type: ignore[arg-type]


def test_too_many_are_said(caplog: pytest.LogCaptureFixture) -> None:
    assert replace(ENGINE, workers=9, cpus=1).shape([SMALL])[0] == 2
    assert "engine.workers=9: only 2" in caplog.text


@pytest.mark.parametrize("change", [{"gpus": 1}, {"cpus": 3}])
def test_a_worker_that_fits_nowhere_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(VaaError, match=r"a worker is to hold .* the machines have 2 CPUs and 0 GPUs"):
        replace(ENGINE, **change).shape([SMALL])  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"workers": 0}, {"gpus": -1}, {"cpus": 0}, {"chunk": 0}, {"attempts": 0}])
def test_numbers_that_make_no_sense_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(VaaError, match=next(iter(change))):
        replace(ENGINE, **change)  # type: ignore[arg-type]
