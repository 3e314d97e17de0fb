"""What backend=vllm does without vLLM: choosing it, refusing, frames, checkpoints. With it: test_vllm_engine.py."""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import experiment
from cpu_models import cpu_vlm
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer

from vaa.errors import ConfigError, ModelError
from vaa.generation import GREEDY
from vaa.models.choice_tokens import next_tokens, probabilities
from vaa.models.transformers.families import FAMILIES
from vaa.models.transformers.vlm import TransformersVLM
from vaa.models.vllm import answers, checkpoint, engine, frames, loading
from vaa.models.vllm.requests import Failed, Generation, Request, VllmModel, make_task
from vaa.models.vllm.settings import VllmSettings
from vaa.types import GenerateQuery, Video
from vaa.video import sources

TINY = Path(__file__).parents[3] / "vaa/tiny/checkpoints/vlm"
SETTINGS = VllmSettings(tensor_parallel=1, pipeline_parallel=1, max_length=None, memory=0.9, timeout=60.0)


def vllm_vlm(**fields: Any) -> TransformersVLM:
    return cpu_vlm(TINY, **{"backend": "vllm", "vllm": SETTINGS, "decoder": "pyav", **fields})


def make_query(clip: Path, *shown: int, text: str = "What happens?") -> GenerateQuery:
    video = Video("clip", clip, 25, 10.0)
    return GenerateQuery(purpose="caption", video=video, at=0, frames=shown, text=text, max_new_tokens=8)


def tiny_frames(**fields: Any) -> frames.VllmFrames:
    config = AutoConfig.from_pretrained(TINY)
    processor = AutoImageProcessor.from_pretrained(TINY, backend="pil")
    return frames.vllm_frames(vllm_vlm(**fields)._frame_processor(config, processor))


def test_without_vllm_its_name_and_what_to_do_are_said_before_anything_is_loaded() -> None:
    words = r"vLLM is not installed: .*\[vllm\].*environment of its own.*backend=transformers"
    assert re.search(words, experiment([], ["vlm.backend=vllm"]))
    assert re.search(words, experiment(["method=lavad", "llm=llama3_1"], ["llm.backend=vllm"]))
    vlm = vllm_vlm()
    assert vlm.requirements.libraries[0].module == "vllm"
    with pytest.raises(ConfigError, match=words):
        _ = vlm.identity
    with pytest.raises(ConfigError, match=words):
        list(vlm.generate([make_query(Path("clip.mp4"))]))
    assert "vlm.backend=vlm: transformers or vllm is needed. Did you mean vllm?" in experiment([], ["vlm.backend=vlm"])


def test_the_cache_key_has_the_version_and_that_of_transformers_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for version in ("0.32.0", "0.33.0"):
        monkeypatch.setattr(engine, "version", lambda version=version: f"vllm {version}")
        keys.append(vllm_vlm().identity)
        keys.append(vllm_vlm(vllm=replace(SETTINGS, tensor_parallel=2)).identity)
    reference = replace(vllm_vlm(), backend="transformers").identity
    assert keys == [f"{reference} vllm {version}" for version in ("0.32.0", "0.32.0", "0.33.0", "0.33.0")]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"quantization": "int8"}, "backend=vllm quantizes to nf4 only"),
        ({"quantization": "fp4"}, "AWQ, GPTQ"),
        ({"vllm": None}, "its settings are missing"),
    ],
)
def test_what_vllm_cannot_do_is_refused_at_once(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        vllm_vlm(**fields)


def test_settings_are_checked() -> None:
    for wrong in ({"tensor_parallel": 0}, {"memory": 0.0}, {"memory": 1.5}, {"max_length": 0}, {"timeout": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            replace(SETTINGS, **wrong)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in frames.FAMILIES])
def test_other_families_are_refused_by_name(name: str) -> None:
    processor = vllm_vlm()._frame_processor(AutoConfig.from_pretrained(TINY), None)
    other = replace(processor, family=FAMILIES[name], config=SimpleNamespace(model_type=name))
    with pytest.raises(ModelError, match=rf"'{name}' is not supported, only internvl, .* Set backend=transformers"):
        frames.vllm_frames(other)


def test_an_original_layout_is_refused_with_the_command_that_converts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "version", lambda: "vllm 0")
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "internvl_chat", "llm_config": {}, "vision_config": {}})
    )
    with pytest.raises(ModelError, match=r"original layout. Convert it once \(python -m vaa.models.checkpoints.intern"):
        loading.load_model(
            str(tmp_path), None, dtype="float32", quantization="none", settings=SETTINGS, frame_processor=None
        )


def test_a_build_that_does_not_fit_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm/__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(engine, "version", lambda: "vllm 0.32.0")
    monkeypatch.setattr(engine, "_ENVIRONMENT", {})
    with pytest.raises(ModelError, match=r"0.32.0 is installed but cannot be imported \(RuntimeError: operator torchv"):
        engine.start("x", None, dtype="x", quantization="none", settings=SETTINGS, processor_options={})
    assert "vllm" not in sys.modules


def test_frames_are_resized_once_and_named_by_all_that_their_pixels_depend_on(clip: Path) -> None:
    queries = [make_query(clip, 0, 5), make_query(clip, 5, 7)]
    pixels = [list(sources.frames(query.video, query.frames, "pyav")) for query in queries]
    prepared = tiny_frames().prepare(queries, pixels)
    assert prepared.extra[0][1] == prepared.extra[1][0]
    assert len(prepared.arrays) == 3
    for name, frame in zip(prepared.extra[0], pixels[0], strict=True):
        resized = Image.fromarray(frame).resize((64, 64), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(prepared.arrays[name], np.asarray(resized))
    other = tiny_frames(resize="torch").prepare(queries, pixels)
    assert not set(other.arrays) & set(prepared.arrays)
    clip.write_bytes(clip.read_bytes() + b" ")
    changed = tiny_frames().prepare(queries, pixels)
    assert not set(changed.arrays) & set(prepared.arrays)


def test_a_query_that_is_too_long_has_no_answer_and_says_by_how_much(clip: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    small = SimpleNamespace(vllm_config=SimpleNamespace(model_config=SimpleNamespace(max_model_len=60)))
    started = engine.VllmEngine(engine=small, timeout=1.0)
    model = VllmModel(engine=started, tokenizer=tokenizer, frames=tiny_frames(), folder=None)
    images = {str(k): np.zeros((64, 64, 3), np.uint8) for k in range(4)}
    task = make_task(model, make_query(clip, 0, 1, 2, 3), images, GREEDY)
    assert isinstance(task, Failed)
    text = len(tokenizer("<user>What happens?<assistant>", add_special_tokens=False)["input_ids"])
    assert f"has {text + 4 * 18} tokens with its 4 frames, and 8 for its answer: more than the 60" in task.answer.reason


class LostEngine(engine.VllmEngine):
    """Answers every second request, the others never, and is lost at the third step."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.steps = 0
        self.aborted: list[str] = []

    @property
    def waiting(self) -> int:
        return 0

    def add(self, name: str, prompt: Any, params: Any) -> None:
        self.open.append(name)

    def step(self) -> list[Any]:
        self.steps += 1
        if self.steps > 2:
            raise engine.EngineLostError("its process has ended")
        name = self.open[2 * self.steps - 1]
        return [SimpleNamespace(request_id=name, finished=True, text=f"answer {name}")]

    def abort(self, names: Sequence[str]) -> None:
        self.aborted += names

    def stop(self) -> None:
        self.stopped = True


class OneRequest(Generation):
    def __init__(self) -> None:
        self.answer = None

    def first(self) -> Iterator[Any]:
        yield Request(number=0, prompt={}, params=None)

    def receive(self, number: int, output: Any) -> Iterator[Any]:
        self.answer = output.text
        return iter(())


def test_a_lost_engine_ends_the_run_in_words_after_the_answers_that_were_complete(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "make_task", lambda *_: OneRequest())
    lost = LostEngine()
    model = VllmModel(engine=lost, tokenizer=None, frames=None, folder=None)
    queries = [make_query(clip, text=str(k)) for k in range(6)]
    results: deque[Any] = deque()
    with pytest.raises(ModelError, match=r"engine is lost: its process has ended. All answers so far are cached"):
        results.extend(answers.answer_queries(lambda: model, queries, GREEDY, "pyav", 0))
    given = [answer if isinstance(answer, str) else None for answer in results]
    assert given == [None, "answer 1", None, "answer 3"]
    assert lost.stopped
    assert sorted(lost.aborted) == ["0", "2", "4", "5"]


def test_choices_become_one_request_for_each_beginning_that_they_share() -> None:
    choices = [[1, 2], [1, 3, 4], [5]]
    assert next_tokens(choices) == {(): [1, 5], (1,): [2, 3], (1, 3): [4]}
    logprobs = {(): {1: np.log(0.6), 5: np.log(0.4)}, (1,): {2: np.log(0.5), 3: np.log(0.25)}, (1, 3): {4: 0.0}}
    np.testing.assert_allclose(probabilities(choices, logprobs), np.array([0.3, 0.15, 0.4]) / 0.85)


def test_a_checkpoint_without_a_processor_is_completed_in_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkpoint.main([str(TINY), str(tmp_path / "served")]) == 0
    assert not checkpoint.missing_files(tmp_path / "served")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "served")
    assert tokenizer.video_token == "</img>"
    assert checkpoint.main([str(TINY), str(tmp_path / "served")]) == 8
    assert checkpoint.main([str(tmp_path / "served"), str(tmp_path / "again")]) == 6
    assert "complete already" in capsys.readouterr().err
    assert {file.name for file in TINY.iterdir()} < {file.name for file in (tmp_path / "served").iterdir()}
