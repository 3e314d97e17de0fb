from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForImageTextToText

from vaa.doctor.diagnosis import LIBRARIES, examine
from vaa.doctor.machine import Gpu, Machine, look
from vaa.doctor.weights import weigh
from vaa.errors import VaaError
from vaa.models.transformers import loading
from vaa.models.transformers.vlm import TransformersVLM
from vaa.stages.window import ConsecutiveWindow
from vaa.types import GenerateQuery, Query, Report

GB = 10**9
HERE = Machine(64 * GB, 500 * GB, 8, (), "2.13.0+cpu", frozenset({"decord", "av"}), offline=False)
GPU = replace(HERE, gpus=(Gpu("a card", 24 * GB, 23 * GB),))


@dataclass(frozen=True)
class Look:
    """A stage that shows every segment to a model."""

    model: Any

    def queries(self, report: Report) -> tuple[Query, ...]:
        return tuple(
            GenerateQuery(
                purpose="q",
                video=report.video,
                at=s.at,
                frames=s.frames,
                text="what? " * 50,
                system="",
                max_new_tokens=40,
            )
            for s in report.segments
        )

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        return report


@dataclass(frozen=True)
class Replayed:
    """A model without weights."""

    root: str


def vlm(checkpoint: str | Path, **fields: Any) -> TransformersVLM:
    given: dict[str, Any] = {"dtype": "bfloat16", "quantization": "none", "device_map": "auto", "attention": "sdpa"}
    given |= {"revision": None, "max_pixels": None, "timestamps": False, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    return TransformersVLM(
        **{
            **given,
            "checkpoint": str(checkpoint),
            "batch_size": 8,
            "decoder": "decord",
            "workers": 0,
            "resize": "pil",
            **fields,
        }
    )


def told(model: Any, machine: Machine) -> tuple[str, bool]:
    found = examine({"window": ConsecutiveWindow(30, 8), "ask": Look(model), "explain": Look(model)}, machine)
    return "\n".join(found.lines), found.fits


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """An 8B-shaped InternVL2 of two shards, of which there are only headers."""
    folder = tmp_path / "large"
    folder.mkdir()
    text = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
    vision = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096, "image_size": 448}
    config = {
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "vision_config": {**vision, "patch_size": 14},
        "llm_config": {**text, "intermediate_size": 14336, "vocab_size": 92553},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.model").write_bytes(b"")
    files = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    for name, file in files.items():
        header = {"__metadata__": {}, name: {"dtype": "BF16", "shape": [4_040_000, 1000], "data_offsets": [0, 0]}}
        written = json.dumps(header).encode()
        (folder / file).write_bytes(len(written).to_bytes(8, "little") + written + b"\0")
    return folder


def test_a_model_that_fits(large: Path) -> None:
    machine = replace(GPU, libraries=GPU.libraries | {"sentencepiece"})
    said, fits = told(vlm(large), machine)
    assert fits
    assert said.splitlines()[0] == f"ask, explain: TransformersVLM {large}"
    assert "8.08 billion (by its files): 32.3 GB float32, 16.2 GB bfloat16" in said
    assert "for 8 frames and " in said
    assert "of 23.0 GB of GPU memory" in said
    assert "!" not in said
    # Keys and values: 32 layers x 8 heads x 128 x 2 x 2 bytes a token, 8 questions of 8 frames of 256 tokens and more.
    weights = weigh(str(large), None, sees=True)
    assert weights.per_token("bfloat16") == 131_072
    assert weights.shape.tokens == 256
    (line,) = (line for line in said.splitlines() if line.startswith("verdict"))
    assert 18.3 < float(line.split("about ")[1].split()[0]) < 22.9


@pytest.mark.parametrize(
    ("free", "batch", "advice"),
    [
        (18.6, 8, "vlm.batch_size=1 would"),
        (15.2, 8, "vlm.quantization=int8 would"),
        (11.5, 8, "vlm.quantization=nf4 would"),
        (7.2, 32, "vlm.quantization=nf4 vlm.batch_size=1 would"),
        (2.0, 8, "take a smaller model"),
    ],
)
def test_a_model_that_does_not_fit_says_what_would(large: Path, free: float, batch: int, advice: str) -> None:
    said, fits = told(vlm(large, batch_size=batch), replace(GPU, gpus=(Gpu("a card", 24 * GB, int(free * GB)),)))
    assert not fits
    assert "verdict    does not fit" in said
    assert advice in said


def test_models_are_counted_while_they_are_held_and_where_they_run(large: Path) -> None:
    first, second = vlm(large, device_map="cpu"), vlm(large, dtype="float16", device_map="cpu")
    machine = replace(HERE, memory=30 * GB, libraries=HERE.libraries | {"sentencepiece"})
    one_after_the_other = examine({"a": Look(first), "b": Look(second)}, machine)
    assert one_after_the_other.fits
    both_at_once = examine({"a": Look(first), "b": Look(second), "c": Look(first)}, machine)
    assert not both_at_once.fits
    assert "of 30.0 GB of memory" in both_at_once.lines[-1]


def test_a_missing_folder_and_missing_files_are_named(large: Path, internvl: Path, tmp_path: Path) -> None:
    said, fits = told(vlm("no/such/folder"), HERE)
    assert not fits
    assert "! 'no/such/folder' is no folder, nor a name on the hub" in said
    (large / "model-00002-of-00002.safetensors").unlink()
    (large / "tokenizer.model").unlink()
    said, fits = told(vlm(large), HERE)
    assert not fits
    assert "! no model-00002-of-00002.safetensors in" in said
    assert "! no tokenizer" in said
    folder = tmp_path / "native"
    shutil.copytree(internvl, folder)
    assert told(vlm(folder), HERE)[1]
    (folder / "preprocessor_config.json").unlink()
    assert "! no preprocessor_config.json" in told(vlm(folder), HERE)[0]


BIN = "no model.safetensors in {} (pytorch_model.bin is not read: it can hold code. Save it anew as .safetensors)"


def test_weights_that_would_not_be_read_do_not_count(internvl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    shutil.copytree(internvl, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    said, fits = told(vlm(folder), HERE)
    assert not fits
    assert f"! {BIN.format(folder)}" in said
    with pytest.raises(VaaError, match="safetensors"):
        loading.load(AutoModelForImageTextToText, str(folder), None)


def test_weights_that_are_cut_off_or_lie_elsewhere_would_be_refused(internvl: Path, large: Path) -> None:
    folder = large.parent / "cut"
    shutil.copytree(internvl, folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 10)
    said, fits = told(vlm(folder), HERE)
    assert not fits
    assert f"! model.safetensors in {folder} is cut off" in said
    with pytest.raises(VaaError, match="cannot be loaded"):
        loading.load(AutoModelForImageTextToText, str(folder), None)
    (large / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    said, fits = told(vlm(large), HERE)
    assert not fits
    assert "names weights outside its folder: ../a.safetensors" in said


def test_of_the_hubs_cache_what_is_missing_comes_and_what_is_broken_does_not(
    internvl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--some--model/snapshots/abc"
    shutil.copytree(internvl, snapshot)
    (tmp_path / "models--some--model/refs").mkdir()
    (tmp_path / "models--some--model/refs/main").write_text("abc")
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    said, fits = told(vlm("some/model"), HERE)
    assert fits
    assert f"note     {BIN.format(snapshot)}, to be downloaded if the hub has it" in said
    assert f"! {BIN.format(snapshot)}" in told(vlm("some/model"), replace(HERE, offline=True))[0]
    (snapshot / "model.safetensors").write_bytes(b"cut")
    assert not told(vlm("some/model"), HERE)[1]


def test_what_is_on_the_hub_only_would_be_downloaded() -> None:
    said, fits = told(vlm("OpenGVLab/InternVL2-8B"), HERE)
    assert fits
    assert "not here: would be downloaded from the hub, about 16.0 GB (500.0 GB of disk free)" in said
    assert "8 billion (by its name)" in said
    assert "do not fit on the disk" in told(vlm("OpenGVLab/InternVL2-8B"), replace(HERE, disk=GB))[0]
    said, fits = told(vlm("OpenGVLab/InternVL2-8B"), replace(HERE, offline=True))
    assert not fits
    assert "! it is not here, and HF_HUB_OFFLINE forbids downloading it" in said
    assert "cannot be said: how large openai/clip is" in told(vlm("openai/clip"), HERE)[0]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"quantization": "nf4"}, "! bitsandbytes is not installed: pip install bitsandbytes, or quantization=none"),
        ({"decoder": "pyav"}, "! av is not installed: pip install av, or decoder=decord"),
        ({}, "! sentencepiece is not installed: pip install sentencepiece"),
    ],
)
def test_a_missing_library_is_named(large: Path, fields: dict[str, Any], says: str) -> None:
    said, fits = told(vlm(large, **fields), replace(HERE, libraries=frozenset({"decord"})))
    assert not fits
    assert says in said
    assert says not in told(vlm(large, **fields), replace(HERE, libraries=frozenset(LIBRARIES)))[0]


def test_flash_attention_that_is_not_here_is_no_hindrance(internvl: Path) -> None:
    said, fits = told(vlm(internvl, attention="flash_attention_2"), HERE)
    assert fits
    assert "note     flash attention wants a GPU and flash_attn" in said
    machine = replace(GPU, libraries=GPU.libraries | {"flash_attn"})
    assert "note" not in told(vlm(internvl, attention="flash_attention_2"), machine)[0]


def test_what_needs_no_memory_here() -> None:
    said, fits = told(Replayed("answers"), HERE)
    assert fits
    assert said.startswith("ask, explain: Replayed answers\n")
    assert "verdict    fits: no model runs here" in said


def test_the_config_counts_where_there_are_no_weights(internvl: Path, tmp_path: Path) -> None:
    by_files = weigh(str(internvl), None, sees=True)
    (tmp_path / "config.json").write_text((internvl / "config.json").read_text())
    by_config = weigh(str(tmp_path), None, sees=True)
    assert (by_files.counted, by_config.counted) == ("by its files", "by its config")
    assert by_files.parameters is not None
    assert by_config.parameters == pytest.approx(by_files.parameters, rel=0.3)
    assert by_files.bytes("float32", "none") == 4 * by_files.parameters


def test_this_machine_is_seen() -> None:
    machine = look(LIBRARIES)
    assert machine.memory > GB / 10
    assert machine.disk > 0
    assert machine.cores >= 1
    assert machine.torch.startswith("2.")
    assert "accelerate" in machine.libraries
    assert machine.offline
