from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cpu_models import cpu_encoder, cpu_llm, cpu_vlm
from fake_server import server_model
from tiny_checkpoints import make
from transformers import AutoModelForImageTextToText

from vaa.doctor import diagnosis
from vaa.doctor.checkpoint import inspect_checkpoint
from vaa.doctor.diagnosis import LIBRARIES, diagnose
from vaa.doctor.machine import Gpu, Machine, inspect_machine
from vaa.errors import ModelError
from vaa.models.base import Requirements
from vaa.models.transformers import loading
from vaa.models.transformers.vlm import TransformersVLM
from vaa.prompts.parsers import BoxesParser
from vaa.prompts.template import Prompt
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.urf import LocateBoxes
from vaa.stages.window import ConsecutiveWindow
from vaa.types import GenerateQuery, Query, Report

GB = 10**9
CPU = Machine(
    memory=64 * GB,
    disk=500 * GB,
    cores=8,
    gpus=(),
    torch="2.13.0+cpu",
    libraries=frozenset({"decord", "av"}),
    offline=False,
    hub="",
)
GPU = replace(CPU, gpus=(Gpu("a card", 24 * GB, 23 * GB),))


@dataclass(frozen=True)
class AskEverySegment:
    """A stage with one query for each segment."""

    scope: ClassVar[Scope] = SEGMENT

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
class WithoutWeights:
    """A model that loads no weights on this machine."""

    folder: str

    @property
    def requirements(self) -> Requirements:
        return Requirements(name=self.folder)


def vlm(checkpoint: str | Path, **fields: Any) -> TransformersVLM:
    return cpu_vlm(checkpoint, **{"dtype": "bfloat16", "device_map": "auto", "batch_size": 8, **fields})


def run_doctor(model: Any, machine: Machine) -> tuple[str, bool]:
    diagnosis = diagnose(
        {
            "window": ConsecutiveWindow(length=30, n_frames=8),
            "ask": AskEverySegment(model),
            "explain": AskEverySegment(model),
        },
        machine,
    )
    return "\n".join(diagnosis.lines), diagnosis.ok


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """An InternVL2 with the sizes of the 8B model, in two shards that consist of headers only."""
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
        content = json.dumps(header).encode()
        (folder / file).write_bytes(len(content).to_bytes(8, "little") + content + b"\0")
    return folder


def test_a_model_that_fits(large: Path) -> None:
    machine = replace(GPU, libraries=GPU.libraries | {"sentencepiece"})
    text, ok = run_doctor(vlm(large), machine)
    assert ok
    assert text.splitlines()[0] == f"ask, explain: TransformersVLM {large}"
    assert "8.08 billion (by its files): 32.3 GB float32, 16.2 GB bfloat16" in text
    assert "for 8 frames and " in text
    assert "of 23.0 GB of GPU memory" in text
    assert "!" not in text
    # Keys and values: 32 layers x 8 heads x 128 x 2 x 2 bytes per token; 8 queries of 8 frames of 256 tokens.
    checkpoint = inspect_checkpoint(str(large), None, image_processor=True)
    assert checkpoint.kv_bytes_per_token("bfloat16") == 131_072
    assert checkpoint.shape.image_tokens == 256
    (verdict,) = (line for line in text.splitlines() if line.startswith("verdict"))
    assert 18.3 < float(verdict.split("about ")[1].split()[0]) < 22.9


@pytest.mark.parametrize(
    ("free", "batch", "remedy"),
    [
        (18.6, 8, "it fits with vlm.batch_size=1 "),
        (15.2, 8, "it fits with vlm.quantization=int8 "),
        (11.5, 8, "it fits with vlm.quantization=nf4 "),
        (7.2, 32, "it fits with vlm.quantization=nf4 vlm.batch_size=1 "),
        (2.0, 8, "use a smaller model"),
    ],
)
def test_a_model_that_does_not_fit_is_reported_with_a_remedy(large: Path, free: float, batch: int, remedy: str) -> None:
    text, ok = run_doctor(vlm(large, batch_size=batch), replace(GPU, gpus=(Gpu("a card", 24 * GB, int(free * GB)),)))
    assert not ok
    assert "verdict    does not fit" in text
    assert remedy in text


def test_models_count_from_their_first_to_their_last_stage_in_the_memory_they_use(large: Path) -> None:
    first, second = vlm(large, device_map="cpu"), vlm(large, dtype="float16", device_map="cpu")
    machine = replace(CPU, memory=30 * GB, libraries=CPU.libraries | {"sentencepiece"})
    one_at_a_time = diagnose({"a": AskEverySegment(first), "b": AskEverySegment(second)}, machine)
    assert one_at_a_time.ok
    both = diagnose({"a": AskEverySegment(first), "b": AskEverySegment(second), "c": AskEverySegment(first)}, machine)
    assert not both.ok
    assert "of 30.0 GB of memory" in both.lines[-1]


def test_a_missing_folder_and_missing_files_are_named(large: Path, internvl: Path, tmp_path: Path) -> None:
    for name in ("no/such/folder", "missing", "/no/such", "./such", "no/../such", "~/such"):
        text, ok = run_doctor(vlm(name), CPU)
        assert not ok
        assert f"! '{name}' is neither a folder nor a hub name, which look like ORG/NAME" in text
    (large / "model-00002-of-00002.safetensors").unlink()
    (large / "tokenizer.model").unlink()
    text, ok = run_doctor(vlm(large), CPU)
    assert not ok
    assert "! no model-00002-of-00002.safetensors in" in text
    assert "! no tokenizer" in text
    folder = tmp_path / "native"
    shutil.copytree(internvl, folder)
    assert run_doctor(vlm(folder), CPU)[1]
    (folder / "preprocessor_config.json").unlink()
    assert "! no preprocessor_config.json" in run_doctor(vlm(folder), CPU)[0]


BIN = "no model.safetensors in {} (tf_model.h5 is not loaded: it can contain code. Save it again as .safetensors)"


def test_weights_in_unsupported_formats_are_reported(internvl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    shutil.copytree(internvl, folder)
    (folder / "model.safetensors").rename(folder / "tf_model.h5")
    text, ok = run_doctor(vlm(folder), CPU)
    assert not ok
    assert f"! {BIN.format(folder)}" in text
    with pytest.raises(ModelError, match="safetensors"):
        loading.load(AutoModelForImageTextToText, str(folder), None)


def test_pickled_weights_are_not_missing(internvl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    shutil.copytree(internvl, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    text, ok = run_doctor(vlm(folder), CPU)
    assert ok, text


def test_truncated_weights_and_weights_outside_the_folder_are_reported(internvl: Path, large: Path) -> None:
    folder = large.parent / "truncated"
    shutil.copytree(internvl, folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 10)
    text, ok = run_doctor(vlm(folder), CPU)
    assert not ok
    assert f"! model.safetensors in {folder} is truncated" in text
    with pytest.raises(ModelError, match="cannot be loaded"):
        loading.load(AutoModelForImageTextToText, str(folder), None)
    (large / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    text, ok = run_doctor(vlm(large), CPU)
    assert not ok
    assert "names weights outside its folder: ../a.safetensors" in text


def test_missing_files_in_the_hub_cache_are_downloaded_and_damaged_ones_reported(
    internvl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--some--model/snapshots/abc"
    shutil.copytree(internvl, snapshot)
    (tmp_path / "models--some--model/refs").mkdir()
    (tmp_path / "models--some--model/refs/main").write_text("abc")
    (snapshot / "model.safetensors").rename(snapshot / "tf_model.h5")
    text, ok = run_doctor(vlm("some/model"), CPU)
    assert ok
    assert f"note     {BIN.format(snapshot)}, to be downloaded if the hub has it" in text
    assert f"! {BIN.format(snapshot)}" in run_doctor(vlm("some/model"), replace(CPU, offline=True))[0]
    (snapshot / "model.safetensors").write_bytes(b"cut")
    assert not run_doctor(vlm("some/model"), CPU)[1]


def test_a_checkpoint_on_the_hub_is_to_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    text, ok = run_doctor(vlm("OpenGVLab/InternVL2-8B"), CPU)
    assert ok
    assert "to be downloaded from the hub, which is reached, about 16.0 GB (500.0 GB of disk free)" in text
    assert "8 billion (by its name)" in text
    assert "do not fit on the disk" in run_doctor(vlm("OpenGVLab/InternVL2-8B"), replace(CPU, disk=GB))[0]
    text, ok = run_doctor(vlm("OpenGVLab/InternVL2-8B"), replace(CPU, offline=True))
    assert not ok
    assert "! it is not on this machine, and HF_HUB_OFFLINE forbids downloading it" in text
    text, ok = run_doctor(vlm("OpenGVLab/InternVL2-8B"), replace(CPU, hub="https://hub: ConnectError"))
    assert not ok
    assert "! it is not on this machine, and the hub is not reached (https://hub: ConnectError)" in text
    monkeypatch.setattr(diagnosis, "access_fault", lambda name, revision: f"'{name}' is gated")
    text, ok = run_doctor(vlm("OpenGVLab/InternVL2-8B"), CPU)
    assert not ok
    assert "! 'OpenGVLab/InternVL2-8B' is gated" in text
    assert "unknown: the size of openai/clip" in run_doctor(vlm("openai/clip"), CPU)[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantization": "nf4"}, "! bitsandbytes is not installed: pip install bitsandbytes, or quantization=none"),
        ({"decoder": "pyav"}, "! av is not installed: pip install av, or decoder=decord"),
        ({}, "! sentencepiece is not installed: pip install sentencepiece"),
    ],
)
def test_a_missing_library_is_named(large: Path, fields: dict[str, Any], message: str) -> None:
    text, ok = run_doctor(vlm(large, **fields), replace(CPU, libraries=frozenset({"decord"})))
    assert not ok
    assert message in text
    assert message not in run_doctor(vlm(large, **fields), replace(CPU, libraries=frozenset(LIBRARIES)))[0]


def test_missing_flash_attention_is_a_note(internvl: Path) -> None:
    text, ok = run_doctor(vlm(internvl, attention="flash_attention_2"), CPU)
    assert ok
    assert "note     flash attention needs a GPU and flash_attn" in text
    machine = replace(GPU, libraries=GPU.libraries | {"flash_attn"})
    assert "note" not in run_doctor(vlm(internvl, attention="flash_attention_2"), machine)[0]


def test_a_model_without_weights_needs_no_memory() -> None:
    text, ok = run_doctor(WithoutWeights("answers"), CPU)
    assert ok
    assert text.startswith("ask, explain: WithoutWeights answers\n")
    assert "verdict    fits: no model runs on this machine" in text


def test_a_server_needs_its_client_and_no_memory() -> None:
    model = server_model("https://example.org/v1")
    text, ok = run_doctor(model, CPU)
    assert not ok
    assert text.startswith("ask, explain: ServerModel fake\n  runs at  https://example.org/v1\n")
    assert "! openai is not installed" in text
    assert run_doctor(model, replace(CPU, libraries=CPU.libraries | {"openai"}))[1]


def test_the_remedy_names_the_config_group_of_the_model(large: Path) -> None:
    fields = {"dtype": "bfloat16", "device_map": "auto", "batch_size": 64}
    llm, encoder = cpu_llm(large, **fields), cpu_encoder(large, **fields)
    machine = replace(GPU, gpus=(Gpu("a card", 24 * GB, int(18.6 * GB)),))
    assert "it fits with llm.batch_size=1 " in run_doctor(llm, machine)[0]
    assert "it fits with encoder.batch_size=1 " in run_doctor(encoder, machine)[0]


def test_parameters_are_estimated_from_the_config_without_weights(internvl: Path, tmp_path: Path) -> None:
    by_files = inspect_checkpoint(str(internvl), None, image_processor=True)
    (tmp_path / "config.json").write_text((internvl / "config.json").read_text())
    by_config = inspect_checkpoint(str(tmp_path), None, image_processor=True)
    assert (by_files.counted_by, by_config.counted_by) == ("by its files", "by its config")
    assert by_files.parameters is not None
    assert by_config.parameters == pytest.approx(by_files.parameters, rel=0.3)
    assert by_files.weight_bytes("float32", "none") == 4 * by_files.parameters


def test_this_machine_is_inspected() -> None:
    machine = inspect_machine(LIBRARIES, try_hub=True)
    assert machine.memory > GB / 10
    assert machine.disk > 0
    assert machine.cores >= 1
    assert machine.torch.startswith("2.")
    assert "accelerate" in machine.libraries
    assert machine.offline
    assert machine.hub is None


def box_stage(model: Any) -> LocateBoxes:
    prompt = Prompt(
        purpose="box",
        system="",
        text="$frames",
        definition_text=None,
        file=None,
        system_file=None,
        placeholders=None,
        max_new_tokens=8,
        parser=BoxesParser(),
    )
    return LocateBoxes(
        model=model,
        prompt=prompt,
        prompt_without_tags=prompt,
        frames="window",
        prior="none",
        stride=16,
        skipped=[],
        unnamed=[],
        parsing="first",
        map_boxes=True,
    )


@pytest.mark.parametrize(("name", "gives_boxes"), [("videollama3", False), ("qwen3_vl", True)])
def test_a_model_that_gives_no_boxes_is_named_with_what_to_choose(tmp_path: Path, name: str, gives_boxes: bool) -> None:
    model = vlm(make(name, tmp_path))
    diagnosis = diagnose({"ask": AskEverySegment(model), "locate": box_stage(model)}, CPU)
    problem = f"! '{tmp_path}' (video_llama_3) was not trained to give boxes. Choose another model for them, as in"
    assert diagnosis.ok is gives_boxes
    assert [line.startswith(problem) for line in diagnosis.lines].count(True) == (not gives_boxes)
    assert diagnose({"ask": AskEverySegment(model)}, CPU).ok


def test_boxes_of_a_missing_checkpoint_are_not_judged() -> None:
    model = vlm("nobody/nothing")
    lines = diagnose({"locate": box_stage(model)}, replace(CPU, offline=True)).lines
    assert any("HF_HUB_OFFLINE" in line for line in lines)
    assert not any("boxes" in line for line in lines)
