"""The yaml files of URF's methods: which model gives the boxes, and that tags of an earlier run can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from test_conf import complete, composed

from vaa.stages.read_tags import ReadTags
from vaa.stages.urf import TagWindow


def stages(folder: Path, *overrides: str) -> dict[str, Any]:
    config = complete(composed([*overrides, f"hydra.run.dir={folder}"]), folder)
    return dict(instantiate(config.stages, _convert_="all"))


@pytest.mark.parametrize("method", ["urf_full", "urf_understand", "urf_localise"])
def test_boxes_are_given_by_the_vlm_or_by_a_model_of_their_own(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    vlm = stages(tmp_path, f"method={method}", "vlm=videollama3")
    assert {getattr(stage, "model", vlm["tag"].model) for stage in vlm.values()} >= {vlm["tag"].model}
    names = [name for name in vlm if name.startswith("locate")]
    assert names
    assert all(vlm[name].model == vlm["tag"].model for name in names)
    own = stages(tmp_path, f"method={method}", "vlm=videollama3", "boxer=qwen2_5_vl", "boxer.dtype=float16")
    assert {own[name].model.checkpoint for name in names} == {"Qwen/Qwen2.5-VL-7B-Instruct"}
    assert own[names[0]].model.dtype == "float16"
    assert own["tag"].model.checkpoint == "DAMO-NLP-SG/VideoLLaMA3-7B"


def test_tags_are_those_of_an_earlier_run_where_its_folder_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read = stages(tmp_path, "method=urf_localise", "suspicious_window=read_tags", "suspicious_window.tag.root=.")
    assert read["tag"] == ReadTags(root=".")
    assert isinstance(stages(tmp_path, "method=urf_localise")["tag"], TagWindow)


def test_tags_have_generation_settings_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = "{_target_: vaa.generation.GenerationConfig, temperature: 0.7, top_p: 0.8, top_k: 20, seed: 3306}"
    tag = stages(tmp_path, "method=urf", f"suspicious_window.tag.generation={config}")["tag"]
    assert tag.generation.identity == "temperature 0.7 top_p 0.8 top_k 20 seed 3306"


@pytest.mark.parametrize("name", ["urf_ucf_live", "urf_xd_live", "urf_ubnormal_live", "urf_msad_live"])
def test_live_runs_sample_as_the_authors_programs_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    live = stages(tmp_path, f"experiment={name}")
    generation = {stage: live[stage].model.generation.identity for stage in ("describe", "rate", "rerate")}
    rating = "temperature 0.6 top_p 0.9 seed 1"
    assert generation == {"describe": "temperature 0.1 top_p 0.8 top_k 20 seed 0", "rate": rating, "rerate": rating}
    assert live["tag"].generation.identity == "temperature 0.7 top_p 0.8 top_k 20 seed 3306"
    assert live["tag"].prompt.parse("['a', 'b']").description == "['a', 'b']"
    assert (live["window"].sampling, live["tag"].sampling) == ("fps_filter", "fps_filter")
    vlm = live["describe"].model
    assert (vlm.max_visual_tokens, vlm.compress_tokens, vlm.max_pixels) == (16384, True, None)
    assert live["score"].digits is None
    assert live["rerate"].max_tokens == 512
