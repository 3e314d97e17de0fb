"""run.py with each kind of model, as its users run it, on tiny checkpoints of random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from making import make_clip
from tiny_checkpoints import make, siglip

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
HERE = [
    "data=folder",
    "data.root=clips",
    "cache=null",
    "plots=false",
    "max_unparsed=1",
    "window.length=20",
    "window.n_frames=2",
]
VLM = ["vlm.dtype=float32", "vlm.device_map=cpu", "vlm.checkpoint=${hydra:runtime.choices.vlm}"]
ENCODER = ["encoder.device_map=cpu", "encoder.checkpoint=${hydra:runtime.choices.encoder}"]
TWO = """# @package _global_
defaults:
  - /vlm: tiny
  - /llm: qwen3
  - /window: frames30x8
  - /prompt@describe: plain
  - /prompt@rate: plain
describe: {parser: {_target_: vaa.prompts.parsers.CaptionParser}}
rate: {text: $caption}
stages:
  window: ${window}
  describe: {_target_: vaa.stages.responses.CaptionSegments, model: "${vlm}", prompt: "${describe}", empty: Nothing}
  rate: {_target_: vaa.stages.responses.RateCaptions, model: "${llm}", prompt: "${rate}"}
  score: {_target_: vaa.stages.responses.ResponseScores, missing: 0.0}
  frames: {_target_: vaa.stages.scores.ExpandToFrames}
"""


def run(folder: Path, *overrides: str) -> tuple[str, list[dict[str, float]]]:
    """The output, and the metrics of all jobs in order."""
    done = subprocess.run(
        [sys.executable, str(PROJECT / "run.py"), *overrides],
        cwd=folder,
        env={**os.environ, "WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    files = sorted((folder / "outputs").rglob("metrics.json"), key=lambda file: file.stat().st_mtime_ns)
    return output, [json.loads(file.read_text()) for file in files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips/a.mp4", 50)
    make_clip(tmp_path / "clips/b.mp4", 40, size=(64, 96))
    return tmp_path


def test_every_family_and_every_encoder(folder: Path, clip_checkpoint: Path) -> None:
    families = ["qwen2_5_vl", "qwen3_vl", "videollama3", "llava_onevision"]  # InternVL's is in test_run.py
    for name in families:
        make(name, folder / name)
    siglip(folder / "siglip2")
    (folder / "clip_vit_l14").symlink_to(clip_checkpoint)
    fast = ["prompt.max_new_tokens=3"]
    output, metrics = run(
        folder, "-m", "method=corevad", *HERE, *fast, *VLM, f"vlm={','.join(families)}", "encoder=siglip2", *ENCODER
    )
    assert len(metrics) == 4
    assert {(job["answers"], job["model_queries"], job["failed"]) for job in metrics} == {(5, 5, 0)}, output
    assert all(job["embedding_queries"] > 0 for job in metrics)


def test_a_vlm_describes_and_an_llm_or_the_vlm_itself_rates(folder: Path, internvl: Path) -> None:
    (folder / "conf/method").mkdir(parents=True)
    (folder / "conf/method/two.yaml").write_text(TWO)
    (folder / "conf/llm").mkdir()
    for name in ("llama3_1", "qwen3"):
        make(name, folder / name)
        here = {"defaults": [name, "_self_"], "checkpoint": name, "dtype": "float32", "device_map": "cpu"}
        (folder / f"conf/llm/my_{name}.yaml").write_text(
            yaml.safe_dump({**here, "generation": {"temperature": 0.6, "top_p": 0.9}})
        )
    (folder / "internvl").symlink_to(internvl)
    two = ["--config-dir=conf", "method=two", "vlm=internvl", *VLM, *HERE]
    limits = ["describe.max_new_tokens=3", "rate.max_new_tokens=3"]
    output, metrics = run(folder, "-m", *two, *limits, "llm=my_llama3_1,my_qwen3,vlm")
    counts = [(job["model_queries"], job["cache_hits"], job["failed"]) for job in metrics]
    assert [both[0] + both[1] for both in counts] == [8] * 3, output
    assert [(first, failed) for first, _, failed in counts] == [
        (8, 0),
        (3, 0),
        (3, 0),
    ]
