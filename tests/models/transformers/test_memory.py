from __future__ import annotations

import logging

import pytest
import torch

from vaa.models.transformers.memory import AdaptiveBatchSize, GpuMemoryMeter


def test_where_memory_cannot_be_told_the_size_stays() -> None:
    room = AdaptiveBatchSize(16)
    for _ in range(50):
        room.grow(16, used=1.0)
    assert room.size == 16


def test_it_grows_while_there_is_room_for_twice_as_many() -> None:
    room = AdaptiveBatchSize(4)
    sizes = []
    for _ in range(6):
        room.grow(room.size, used=0.05 * room.size / 4)
        sizes.append(room.size)
    assert sizes == [8, 16, 32, 64, 64, 64]  # 32 took 0.4, so 64 takes 0.8; 128 would not fit


def test_a_batch_that_was_not_full_says_nothing() -> None:
    room = AdaptiveBatchSize(4)
    room.grow(3, used=0.01)
    assert room.size == 4


def test_too_many_are_halved_said_once_and_tried_again_much_later(caplog: pytest.LogCaptureFixture) -> None:
    room = AdaptiveBatchSize(16)
    with caplog.at_level(logging.WARNING, logger="vaa"):
        room.shrink(16)
        room.shrink(16)  # the other half of what was on its way
    assert [record.message for record in caplog.records] == ["Out of memory with 16 questions at once: from here on 8."]
    assert room.size == 8
    for _ in range(15):
        room.grow(8, used=0.1)
    assert room.size == 8
    room.grow(8, used=0.1)
    assert room.size == 16


def test_a_single_question_is_the_least() -> None:
    room = AdaptiveBatchSize(1)
    room.shrink(1)
    assert room.size == 1


def test_on_a_cpu_the_share_is_not_known() -> None:
    class OnCPU:
        device = torch.device("cpu")

    with GpuMemoryMeter(OnCPU()) as gauge:
        pass
    assert gauge.used == 1.0
