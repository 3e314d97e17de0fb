"""The names of conf/vlm, conf/llm and conf/encoder, downloaded from a stand-in for the hub into an empty cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import original_internvl2
import original_videollama3
import pytest
import tiny_checkpoints
from hub_server import CONVERTED, Hub, serve_hub
from omegaconf import OmegaConf
from test_run import metrics

from vaa.installation import CONF
from vaa.process import PROJECT_ROOT

ORIGINALS = {
    "internvl2": ("InternLM2ForCausalLM", {}),
    "internvl2_1b": ("Qwen2ForCausalLM", {}),
    "internvl2_2b": ("InternLM2ForCausalLM", {}),
    "internvl2_4b": ("Phi3ForCausalLM", {}),
    "internvl2_26b": ("InternLM2ForCausalLM", {}),
    "internvl2_40b": ("LlamaForCausalLM", {}),
    "internvl2_76b": ("LlamaForCausalLM", {}),
    "internvl2_5": ("InternLM2ForCausalLM", {}),
}
NATIVE_INTERNVL = ("internvl", "internvl3_5")
OTHERS = ("qwen2_5_vl", "qwen3_vl", "llava_onevision")
VLMS = (*ORIGINALS, *NATIVE_INTERNVL, *OTHERS, "videollama3")
LLMS = ("llama3_1", "qwen3")
ENCODERS = ("clip_vit_b16", "clip_vit_l14", "siglip2")


def hub_name(group: str, choice: str) -> str:
    return str(OmegaConf.load(CONF / group / f"{choice}.yaml").checkpoint)


@pytest.fixture(scope="module")
def repos(tmp_path_factory: pytest.TempPathFactory, internvl: Path, clip_checkpoint: Path) -> Mapping[str, Path]:
    """A small checkpoint of random weights in the layout of each released one, by its name on the hub."""
    root, found = tmp_path_factory.mktemp("repos"), {}
    for choice, (architecture, vision) in ORIGINALS.items():
        folder = root / choice
        original_internvl2.make(folder, architecture=architecture, vision=vision, shards=3)
        found[hub_name("vlm", choice)] = folder
    original_videollama3.make(root / "videollama3", shards=2)
    found[hub_name("vlm", "videollama3")] = root / "videollama3"
    found |= {hub_name("vlm", choice): internvl for choice in NATIVE_INTERNVL}
    found |= {hub_name("vlm", name): tiny_checkpoints.make(name, root / name) for name in OTHERS}
    found |= {hub_name("llm", name): tiny_checkpoints.make(name, root / name) for name in LLMS}
    found |= {hub_name("encoder", name): clip_checkpoint for name in ENCODERS if name.startswith("clip")}
    found[hub_name("encoder", "siglip2")] = tiny_checkpoints.siglip(root / "siglip2")
    return found


@pytest.fixture
def hub(repos: Mapping[str, Path]) -> Iterator[Hub]:
    with serve_hub(repos) as server:
        yield server


def run(folder: Path, hub: Hub, *overrides: str, status: int = 0, **environment: str) -> str:
    """run.py with an empty cache of the hub in `folder`, its one clip in `folder/clips`."""
    settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "hf"), "WANDB_MODE": "disabled", **environment}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    command = [sys.executable, str(PROJECT_ROOT / "run.py"), "data=folder", "data.root=clips", *overrides]
    command += ["max_unparsed=1", "plots=false", "page=null", "cache=null"]
    process = subprocess.run(
        command, cwd=folder, env={**kept, **settings}, capture_output=True, text=True, timeout=500, check=False
    )
    assert process.returncode == status, process.stdout + process.stderr
    return process.stdout + process.stderr


@pytest.fixture
def work(tmp_path: Path, clip: Path) -> Path:
    (tmp_path / "clips").mkdir()
    clip.rename(tmp_path / "clips/clip.mp4")
    return tmp_path


ON_CPU = ("vlm.dtype=float32", "vlm.device_map=cpu", "prompt.max_new_tokens=4")
SHORT = ("window.max_frames=2", "window.stride=100")


def test_every_vlm_runs_from_an_empty_cache(work: Path, hub: Hub) -> None:
    run(work, hub, "-m", f"vlm={','.join(VLMS)}", "method=plain", "readout=written", *ON_CPU, *SHORT)
    assert [(each["videos"], each["model_queries"]) for each in metrics(work)] == [(1, 1)] * len(VLMS)


def test_a_method_runs_from_an_empty_cache_and_then_without_a_request(work: Path, hub: Hub) -> None:
    """The command of the README, but for device and precision; CLIP's repository has pickled weights only."""
    command = ["vlm=internvl2", "method=corevad", "encoder=clip_vit_b16", "encoder.dtype=float32", *ON_CPU]
    command += ["encoder.device_map=cpu"]
    run(work, hub, *command)
    assert hub.requests
    hub.requests.clear()
    run(work, hub, *command, HF_HUB_OFFLINE="1")
    assert not hub.requests
    first, second = metrics(work)
    assert (first["videos"], first["model_queries"]) == (second["videos"], second["model_queries"]) == (1, 1)


def test_every_encoder_and_llm_runs_from_an_empty_cache(work: Path, hub: Hub) -> None:
    encoders = ["encoder.device_map=cpu", "encoder.dtype=float32"]
    run(work, hub, "-m", f"encoder={','.join(ENCODERS)}", "method=corevad", "vlm=tiny", *encoders)
    llms = ["llm.device_map=cpu", "llm.dtype=float32", "prompt.rate.max_new_tokens=4"]
    run(work, hub, "-m", f"llm={','.join(LLMS)}", "method=urf", "vlm=tiny", "stages.rerate=null", "max_failed=1", *llms)
    assert len(metrics(work)) == len(ENCODERS) + len(LLMS)


def pickled(source: Path, target: Path) -> Path:
    """A copy of a checkpoint with its weights in a .bin file only, as in older repositories."""
    import torch
    from safetensors.torch import load_file

    shutil.copytree(source, target)
    torch.save(load_file(target / "model.safetensors"), target / "pytorch_model.bin")
    (target / "model.safetensors").unlink()
    return target


ENCODER = ("vlm=tiny", "method=corevad", "encoder=clip_vit_b16", "encoder.device_map=cpu", "encoder.dtype=float32")


def test_pickled_weights_are_loaded_where_there_are_no_others(work: Path, hub: Hub, clip_checkpoint: Path) -> None:
    name = hub_name("encoder", "clip_vit_b16")
    hub.repos[name] = pickled(clip_checkpoint, work / "pickled")
    assert "read by torch's restricted loader" in run(work, hub, *ENCODER)
    hub.requests.clear()
    run(work, hub, *ENCODER, HF_HUB_OFFLINE="1")
    assert not hub.requests


def test_a_conversion_of_the_hub_is_preferred_to_pickled_weights(work: Path, hub: Hub, clip_checkpoint: Path) -> None:
    name = hub_name("encoder", "clip_vit_b16")
    hub.repos[name], hub.converted[name] = pickled(clip_checkpoint, work / "pickled"), clip_checkpoint
    assert f"revision {CONVERTED}" in run(work, hub, *ENCODER)
    assert not [request for request in hub.requests if request.endswith("pytorch_model.bin")]
    hub.requests.clear()
    assert f"revision {CONVERTED}" in run(work, hub, *ENCODER, HF_HUB_OFFLINE="1")
    assert not hub.requests


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository_says_how_to_get_access(work: Path, hub: Hub, status: int) -> None:
    hub.gated[hub_name("vlm", "internvl")] = status
    output = run(work, hub, "vlm=internvl", "method=plain", *ON_CPU, *SHORT, status=6)
    assert "OpenGVLab/InternVL3-8B-hf" in output
    assert "HF_TOKEN" in output
    assert "Traceback" not in output


def test_a_renamed_repository_is_found(work: Path, hub: Hub) -> None:
    old, new = hub_name("vlm", "internvl"), "OpenGVLab/Renamed"
    hub.repos[new], hub.renamed[old] = hub.repos[old], new
    run(work, hub, "vlm=internvl", "method=plain", *ON_CPU, *SHORT)
    assert metrics(work)[0]["videos"] == 1


def test_a_download_that_breaks_off_is_resumed(work: Path, hub: Hub) -> None:
    hub.cut["model.safetensors"] = 1000
    run(work, hub, "vlm=internvl", "method=plain", *ON_CPU, *SHORT)
    weights = [request for request in hub.requests if request.startswith("GET") and request.endswith("safetensors")]
    assert len(weights) == 2
    assert metrics(work)[0]["videos"] == 1
