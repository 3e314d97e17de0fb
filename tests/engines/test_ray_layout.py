"""How many workers of engine=ray fit on which machines (without Ray)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vaa.engines.ray import RayEngine, WorkerLayout
from vaa.errors import ConfigError

ENGINE = RayEngine(address=None, workers=None, gpus=None, cpus=None, chunk=256, attempts=2)
SMALL, LARGE, HEAD = {"CPU": 2.0}, {"CPU": 64.0, "GPU": 8.0, "memory": 1e12}, {"CPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "change", "expected"),
    [
        ([SMALL], {}, (2, 1, 0)),
        ([SMALL], {"workers": 1}, (1, 2, 0)),
        ([SMALL], {"workers": 4}, (4, 0.5, 0)),
        ([SMALL], {"cpus": 0.5}, (4, 0.5, 0)),
        ([LARGE], {}, (8, 8, 1)),
        ([LARGE], {"gpus": 0.5}, (16, 4, 0.5)),
        ([LARGE], {"gpus": 2}, (4, 16, 2)),
        ([LARGE], {"gpus": 0}, (64, 1, 0)),
        ([LARGE], {"workers": 2, "cpus": 4}, (2, 4, 1)),
        ([HEAD, LARGE, LARGE], {}, (16, 8, 1)),  # no worker on the machine without a GPU
    ],
)
def test_the_layout_has_as_many_workers_as_fit_or_are_requested(
    nodes: list[dict[str, float]], change: dict[str, float], expected: tuple[int, float, float]
) -> None:
    workers, cpus, gpus = expected
    layout = replace(ENGINE, **change).layout(nodes)  # type: ignore[arg-type]
    assert layout == WorkerLayout(workers=workers, cpus=cpus, gpus=gpus)


def test_more_workers_than_fit_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    assert replace(ENGINE, workers=9, cpus=1).layout([SMALL]).workers == 2
    assert "engine.workers=9: only 2" in caplog.text


@pytest.mark.parametrize("change", [{"gpus": 1}, {"cpus": 3}])
def test_a_worker_that_fits_on_no_machine_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"the machines have 2 CPUs and 0 GPUs.*engine\.cpus"):
        replace(ENGINE, **change).layout([SMALL])  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"workers": 0}, {"gpus": -1}, {"cpus": 0}, {"chunk": 0}, {"attempts": 0}])
def test_values_below_the_minimum_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(ENGINE, **change)  # type: ignore[arg-type]
