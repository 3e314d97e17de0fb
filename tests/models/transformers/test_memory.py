from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from vaa.models.transformers.memory import AdaptiveBatchSize, CpuSharing, GpuMemoryMeter


def test_the_size_stays_where_the_memory_share_is_unknown() -> None:
    batch = AdaptiveBatchSize(16)
    for _ in range(50):
        batch.record(16, memory_share=1.0)
    assert batch.size == 16


def test_the_size_doubles_while_twice_as_many_fit() -> None:
    batch = AdaptiveBatchSize(4)
    sizes = []
    for _ in range(6):
        batch.record(batch.size, memory_share=0.05 * batch.size / 4)
        sizes.append(batch.size)
    assert sizes == [8, 16, 32, 64, 64, 64]  # 32 took 0.4, so 64 takes 0.8; 128 would not fit


def test_a_batch_that_was_not_full_changes_nothing() -> None:
    batch = AdaptiveBatchSize(4)
    batch.record(3, memory_share=0.01)
    assert batch.size == 4


def test_too_large_a_size_is_halved_with_one_warning_and_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    batch = AdaptiveBatchSize(16)
    with caplog.at_level(logging.WARNING, logger="vaa"):
        batch.reduce(16)
        batch.reduce(16)  # the second half of the same batch
    assert [record.message for record in caplog.records] == [
        "Out of memory with a batch of 16 queries; the batch size is now 8."
    ]
    assert batch.size == 8
    for _ in range(15):
        batch.record(8, memory_share=0.1)
    assert batch.size == 8
    batch.record(8, memory_share=0.1)
    assert batch.size == 16


def test_the_smallest_size_is_one() -> None:
    batch = AdaptiveBatchSize(1)
    batch.reduce(1)
    assert batch.size == 1


def test_on_a_cpu_the_memory_share_is_unknown() -> None:
    class OnCPU:
        device = torch.device("cpu")

    with GpuMemoryMeter(OnCPU()) as memory:
        pass
    assert memory.share == 1.0


class Model(torch.nn.Module):
    """Two modules; records the number of threads that each has."""

    device = "cpu"

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Identity(), torch.nn.Identity()
        self.threads: list[int] = []

    @property
    def base_model(self) -> Model:
        return self

    def forward(self) -> None:
        for module in (self.first, self.second):
            module(torch.zeros(1))
            self.threads.append(torch.get_num_threads())


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_a_model_uses_the_threads_that_other_processes_leave_it() -> None:
    model, busy = Model(), iter([0, 1, 3, 9])
    with CpuSharing(model, lambda: next(busy)):
        model()
        model()
    assert model.threads == [4, 3, 1, 1]
    assert torch.get_num_threads() == 4
    model()  # the hooks are removed
    assert model.threads[-2:] == [4, 4]


def test_a_model_on_a_gpu_keeps_its_threads() -> None:
    with CpuSharing(SimpleNamespace(device="cuda:0"), lambda: 1):
        assert torch.get_num_threads() == 4
