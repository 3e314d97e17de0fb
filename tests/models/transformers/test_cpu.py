from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from vaa.models.transformers.cpu import CpuSharing


class Model(torch.nn.Module):
    """Two parts, which note how many threads they have."""

    device = "cpu"

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Identity(), torch.nn.Identity()
        self.threads: list[int] = []

    @property
    def base_model(self) -> Model:
        return self

    def forward(self) -> None:
        for part in (self.first, self.second):
            part(torch.zeros(1))
            self.threads.append(torch.get_num_threads())


@pytest.fixture(autouse=True)
def four() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_a_model_has_what_others_leave_at_every_part() -> None:
    model, busy = Model(), iter([0, 1, 3, 9])
    with CpuSharing(model, lambda: next(busy)):
        model()
        model()
    assert model.threads == [4, 3, 1, 1]
    assert torch.get_num_threads() == 4
    model()  # what was put in its way is gone
    assert model.threads[-2:] == [4, 4]


def test_a_model_on_a_gpu_is_left_alone() -> None:
    with CpuSharing(SimpleNamespace(device="cuda:0"), lambda: 1):
        assert torch.get_num_threads() == 4
