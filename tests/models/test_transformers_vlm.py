from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vaa.models.transformers_vlm import TransformersVLM, chat
from vaa.types import Question, Unanswered, VaaError, Video


@pytest.fixture
def vlm(internvl: Path) -> TransformersVLM:
    return TransformersVLM(
        checkpoint=str(internvl),
        revision=None,
        dtype="float32",
        quantization="none",
        device_map="cpu",
        attention="sdpa",
        batch_size=4,
        reader="decord",
    )


@pytest.fixture
def ask(clip: Path) -> Callable[..., Question]:
    video = Video("clip", clip, 25, 10.0)

    def question(frames: tuple[int, ...], text: str = "what happens here", **fields: Any) -> Question:
        return Question("verdict", fields.pop("video", video), 0, frames, text, max_new_tokens=8, **fields)

    return question


def test_print(vlm, ask):
    qs = [
        ask((0, 5)),
        ask((20,)),
        ask(()),
        ask((0, 1, 2), "Frame <image> <image> car <image>"),
        ask((), "a car", system="Normal"),
    ]
    print(list(vlm.answer(qs)))
    print([next(vlm.answer([q])) for q in qs])
