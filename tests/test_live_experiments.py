"""conf/experiment/*_live.yaml: a run of a paper's method on the videos of a data set, composed and complete."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from author_files import evaluate, write_data_set, write_json
from command_line import experiment
from in_process import run

from vaa.experiment import Experiment
from vaa.loading import load_run
from vaa.models.base import ReplaysAnswers
from vaa.models.transformers.encoder import ClipEncoder
from vaa.models.transformers.llm import TransformersLLM
from vaa.models.transformers.vlm import TransformersVLM
from vaa.paper.published import PUBLISHED
from vaa.paper.rows import GPU_ROWS
from vaa.process import PROJECT_ROOT
from vaa.stages.base import ModelStage

FILES = {file.stem: file for file in sorted((PROJECT_ROOT / "conf/experiment").glob("*_live.yaml"))}
EXPECTED = {
    "urf": ("ucf", "xd", "ubnormal", "msad"),
    "corevad": ("ucf", "xd"),
    "vera": ("ucf", "xd"),
    "lavad": ("ucf", "xd"),
    "probe": ("ucf", "xd", "msad"),
}
VIDEOLLAMA3, INTERNVL2, LLAMA = (
    "DAMO-NLP-SG/VideoLLaMA3-7B",
    "OpenGVLab/InternVL2-8B",
    "meta-llama/Llama-3.1-8B-Instruct",
)
CHECKPOINTS = {
    "urf": {VIDEOLLAMA3, LLAMA},
    "corevad": {INTERNVL2, "openai/clip-vit-base-patch16"},
    "vera": {INTERNVL2, "openai/clip-vit-base-patch16"},
    "lavad": {"Qwen/Qwen2.5-VL-7B-Instruct", LLAMA, "openai/clip-vit-large-patch14"},
    "probe": {VIDEOLLAMA3},
}
DATA = {"ucf": "ucf_crime", "xd": "xd_violence", "ubnormal": "ubnormal", "msad": "msad"}
PRIORS = {
    "urf_ucf_live": "suspicious or potentially criminal",
    "urf_xd_live": "suspicious or violent",
    "urf_ubnormal_live": "suspicious",
    "urf_msad_live": "abnormal events or potentially criminal",
}


def command(file: Path) -> list[str]:
    """The arguments of the command in the header."""
    (line,) = re.findall(r"^#   python run\.py (.+)$", file.read_text(), re.MULTILINE)
    return shlex.split(line)


def composed(name: str) -> Experiment:
    live: Any = experiment(command(FILES[name]))
    assert isinstance(live, Experiment), live
    return live


def test_there_is_one_for_each_paper_and_data_set() -> None:
    assert {*FILES} == {f"{paper}_{data}_live" for paper, sets in EXPECTED.items() for data in sets}


@pytest.mark.parametrize("name", FILES)
def test_its_command_composes_with_the_models_that_it_names(name: str) -> None:
    paper, data, _ = name.split("_")
    live = composed(name)
    models = {stage.model for stage in live.method.values() if isinstance(stage, ModelStage)}
    assert not any(isinstance(model, ReplaysAnswers) for model in models)
    local = [model for model in models if isinstance(model, TransformersVLM | TransformersLLM | ClipEncoder)]
    assert len(local) == len(models)
    assert {model.checkpoint for model in local} == CHECKPOINTS[paper]
    assert getattr(live.data, "name", None) == DATA[data]
    text = FILES[name].read_text()
    assert all(re.search(shown, text) for shown in _shown(paper)), _shown(paper)


def _shown(paper: str) -> tuple[str, ...]:
    """The words of the header that name the models."""
    return {
        "urf": ("VideoLLaMA3-7B", "Llama-3.1-8B"),
        "corevad": ("InternVL2-8B", "CLIP ViT-B/16"),
        "vera": ("InternVL2-8B", r"CLIP ViT-B/16 stands in for ImageBind"),
        "lavad": (r"Qwen2.5-VL-7B stands in for", "Llama-3.1-8B", "CLIP ViT-L/14 for ImageBind"),
        "probe": ("VideoLLaMA3-7B",),
    }[paper]


@pytest.mark.parametrize("name", FILES)
def test_it_names_the_published_number(name: str) -> None:
    (line,) = re.findall(r"^# published: (.+)$", FILES[name].read_text(), re.MULTILINE)
    numbers = {metric: float(value) for metric, value in (pair.split() for pair in line.split(","))}
    assert numbers == PUBLISHED[name.removesuffix("_live")].numbers


@pytest.mark.parametrize("name", FILES)
def test_its_protocol_has_the_labels_of_the_paper(name: str) -> None:
    protocol = composed(name).protocol
    paper, data, _ = name.split("_")
    if paper in ("corevad", "vera"):
        file = {"ucf": "UCF/annotations/UCF_Eval.json", "xd": "XD/annotations/xd_test_800.json"}[data]
        assert protocol.labels == file
        assert protocol.name == ("corevad" if name == "corevad_xd_live" else "vera")
    else:
        assert (protocol.name, protocol.labels) == ("lavad", None)


@pytest.mark.parametrize("name", PRIORS)
def test_urfs_prior_is_that_of_the_data_set(name: str) -> None:
    assert getattr(composed(name).method["rerate"], "prior", None) == PRIORS[name]


SETTINGS = {
    "corevad_ucf_live": {"refine": {"precision": "float16"}, "round": {"precision": "float16"}},
    "corevad_xd_live": {"refine": {"precision": "float16"}, "round": {"precision": "float16"}},
    "vera_ucf_live": {"window": {"seconds": 10.0}, "refine": {"fraction": 0.15, "all_up_to": 0}},
    "vera_xd_live": {"window": {"seconds": 12.5}, "refine": {"fraction": 0.15, "all_up_to": 10}},
    "lavad_ucf_live": {"clean": {"pool_stride": 16}, "refine": {"nearest": 10}},
    "lavad_xd_live": {"clean": {"pool_stride": 16}, "refine": {"nearest": 10}},
}
"""Stage -> the values of the authors' programs in its fields."""


@pytest.mark.parametrize("name", SETTINGS)
def test_it_has_the_values_of_the_authors_program(name: str) -> None:
    live = composed(name)
    for stage, fields in SETTINGS[name].items():
        assert {field: getattr(live.method[stage], field) for field in fields} == fields
    assert live.protocol.precision == "float64"
    assert getattr(live.data, "file_fps", None) is name.startswith("corevad")
    models = [stage.model for stage in live.method.values() if isinstance(stage, ModelStage)]
    ratings = [model.generation.temperature for model in models if isinstance(model, TransformersLLM)]
    assert {*ratings} == ({0.6} if name.startswith("lavad") else set())


def test_the_page_of_results_has_a_row_for_each() -> None:
    shown = {row.overrides.split()[0].removeprefix("experiment=") for row in GPU_ROWS}
    assert FILES.keys() <= shown


UNVERIFIED = (
    *("corevad_ucf_refined", "vera_ucf_replay", "lavad_ucf", "lavad_xd"),
    *("probe_ucf", "probe_xd", "probe_msad"),
)


@pytest.mark.parametrize("name", UNVERIFIED)
def test_replays_of_files_that_were_not_at_hand_compose_and_say_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (PROJECT_ROOT / f"conf/experiment/{name}.yaml").read_text()
    (line,) = re.findall(r"^#   python run\.py (.+\\\n#.+|.+[^\\])$", text, re.MULTILINE)
    words = shlex.split(line.replace("\\\n#", " "))
    for key, _, folder in (word.partition("=") for word in words):
        if key.startswith("scores.") or (key, name[:5]) == ("data.root", "probe"):
            (tmp_path / folder / "scores").mkdir(parents=True)
    replay: Any = experiment(words)
    assert isinstance(replay, Experiment), replay
    assert all(isinstance(s.model, ReplaysAnswers) for s in replay.method.values() if isinstance(s, ModelStage))
    assert "not verified here" in text


def test_probe_vads_score_files_are_evaluated_as_by_its_authors(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lengths = write_data_set(tmp_path / "ucf_crime", rng, 12)
    annotations = tmp_path / "ucf_crime/annotations"
    (annotations / "Temporal_Anomaly.txt").rename(annotations / "temporal_annotations.txt")
    for name, n in lengths.items():
        scores = {str(at): float(rng.random()) for at in range(0, n, 16)}
        write_json(tmp_path / f"ucf_crime/scores/{name}.json", scores)
    folder = run(tmp_path / "run", "experiment=probe_ucf", f"data.root={tmp_path / 'ucf_crime'}")
    expected = evaluate(tmp_path / "ucf_crime/scores", tmp_path / "ucf_crime")
    assert load_run(folder).metrics["roc_auc"] == pytest.approx(expected, abs=1e-12)
