"""The benchmarks can be imported, and the GPU benchmark runs, with a small model on the CPU."""

from __future__ import annotations

import importlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.__main__ import SECONDS

SMALL = replace(
    gpu.LARGE,
    device="cpu",
    dtype="float32",
    vision=gpu.VISION
    | {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    | {"patch_size": [8, 8], "image_size": [32, 32]},
    text=gpu.TEXT
    | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 1792}
    | {"num_attention_heads": 4, "num_key_value_heads": 2},
    queries=6,
    alone=3,
    batch=2,
    new_tokens=4,
    side=64,
)


@pytest.mark.parametrize("name", SECONDS)
def test_every_benchmark_has_rows(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").rows)


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("vaa").level
    ratio, waiting, reading = gpu.measured(SMALL)
    logging.getLogger("vaa").setLevel(level)
    assert "3 of 3 answers equal" in ratio.value
    assert "batches of 2;" in ratio.value
    assert len(ratio.seconds) == len(ratio.reference_seconds) == 3
    assert 0 < float(waiting.value.removesuffix("%")) < 100
    assert float(reading.value.split("%")[0]) > 0


def test_the_large_model_has_the_shape_of_internvl2_8b() -> None:
    loaded = gpu.make_model(replace(gpu.LARGE, device="meta"))
    parameters = sum(weight.numel() for weight in loaded.model.parameters())
    assert 8.0e9 < parameters < 8.15e9  # its card says 8.08 billion
