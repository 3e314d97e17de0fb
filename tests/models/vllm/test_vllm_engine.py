"""Against vLLM itself, in an environment of its own: `make test-vllm`. The traps are those that were met by trying."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
from cpu_models import cpu_llm, cpu_vlm

from vaa.data.synthetic import SyntheticDataset
from vaa.errors import ConfigError, ModelError
from vaa.generation import GenerationConfig
from vaa.models.transformers.families import FrameProcessor
from vaa.models.transformers.vlm import TransformersVLM
from vaa.models.vllm import frames
from vaa.models.vllm.settings import VllmSettings
from vaa.prompts.parsers import cut_at_stop_pattern
from vaa.types import ChooseQuery, GenerateQuery, NoAnswer, Video

pytestmark = pytest.mark.vllm
TINY = Path(__file__).parents[3] / "vaa/tiny/checkpoints/vlm"
SETTINGS = VllmSettings(tensor_parallel=1, pipeline_parallel=1, max_length=None, memory=0.9, timeout=300.0)
QUESTION = "Describe what happens in this video in one sentence."
RATINGS = tuple(f"{k / 10:.1f}" for k in range(11))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    folder = tmp_path_factory.mktemp("videos")
    dataset = SyntheticDataset(
        cache_dir=str(folder), root=None, split="test", videos=4, seconds=40.0, fps=10.0, size=128
    )
    return list(dataset.load().videos)


def captions(videos: list[Video], per_video: int = 10, **fields: Any) -> list[GenerateQuery]:
    return [
        GenerateQuery(
            purpose="caption",
            video=video,
            at=first,
            frames=tuple(range(first, first + 32, 4)),
            text=QUESTION,
            **{"max_new_tokens": 30, **fields},
        )
        for video in videos
        for first in range(0, 36 * per_video, 36)
    ]


def choices(queries: list[GenerateQuery], *texts: str) -> list[ChooseQuery]:
    return [
        ChooseQuery(purpose="rate", video=q.video, at=q.at, frames=q.frames, text="Rate it.", choices=texts)
        for q in queries
    ]


def both(checkpoint: Path, **fields: Any) -> tuple[TransformersVLM, TransformersVLM]:
    """The same VLM by transformers and by vLLM."""
    reference = cpu_vlm(checkpoint, decoder="pyav", batch_size=16, **fields)
    return reference, replace(reference, backend="vllm", vllm=SETTINGS, workers=1)


def assert_equal(
    reference: TransformersVLM, vlm: TransformersVLM, queries: list[GenerateQuery], tolerance: float = 1e-5
) -> None:
    expected = list(reference.generate(queries))
    assert len(set(expected)) > 3
    answers = list(vlm.generate(queries))
    assert [a == b for a, b in zip(answers, expected, strict=True)] == [True] * len(queries)
    for texts in (("Yes", "No"), RATINGS, ("a", "a person", "a person runs")):
        pairs = zip(reference.choose(choices(queries, *texts)), vlm.choose(choices(queries, *texts)), strict=True)
        assert max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in pairs) < tolerance


@pytest.fixture(scope="module")
def builtin() -> Iterator[tuple[TransformersVLM, TransformersVLM]]:
    reference, vlm = both(TINY)
    yield reference, vlm
    vlm.release()


Pair = tuple[TransformersVLM, TransformersVLM]


def test_texts_and_choices_of_the_builtin_vlm_are_equal(builtin: Pair, videos: list[Video]) -> None:
    assert_equal(*builtin, captions(videos))


def test_an_answer_is_stopped_by_its_pattern(builtin: Pair, videos: list[Video]) -> None:
    queries = captions(videos, 2, stop_pattern=r" \w+ in")
    for own, other in zip(builtin[1].generate(queries), builtin[0].generate(queries), strict=True):
        assert cut_at_stop_pattern(own, r" \w+ in") == cut_at_stop_pattern(other, r" \w+ in")


def test_sampled_answers_depend_on_the_seed_and_the_query_alone(builtin: Pair, videos: list[Video]) -> None:
    def sampled(seed: int, queries: list[GenerateQuery]) -> list[Any]:
        setting = GenerationConfig(temperature=2.0, top_p=1.0, top_k=None, seed=seed)
        return list(builtin[1].generate([replace(query, generation=setting) for query in queries]))

    queries = captions(videos, 2)
    first = sampled(1, queries)
    assert sampled(1, queries[::-1]) == first[::-1]
    assert sampled(2, queries) != first
    hot = GenerationConfig(temperature=3.0, top_p=1.0, top_k=None, seed=0)
    with pytest.raises(ModelError, match="vLLM refuses the caption query: temperature must be in"):
        list(builtin[1].generate([replace(queries[0], generation=hot)]))


def test_a_question_that_is_too_long_fails_alone(builtin: Pair, videos: list[Video]) -> None:
    short = captions(videos, 1)
    long = replace(short[0], text=" ".join(map(str, range(9000))))
    answers = list(builtin[1].generate([short[0], long, *short[1:]]))
    assert isinstance(answers[1], NoAnswer)
    assert "more than the 8192 of the model" in answers[1].reason
    assert answers[:1] + answers[2:] == list(builtin[0].generate(short))


def test_too_few_frames_for_the_marks_are_refused(builtin: Pair, videos: list[Video]) -> None:
    """vLLM itself takes seven images for eight marks without an error."""
    (query,) = captions(videos[:1], 1)
    with pytest.raises(ConfigError, match="<image>"):
        list(builtin[1].generate([replace(query, text="<image>" * 8 + QUESTION, frames=query.frames[:7])]))


def test_frames_of_another_video_are_never_taken_from_the_cache(
    builtin: Pair, videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM takes the identities of images for granted: with equal ones the answer about the first video is given."""
    (one,), (other,) = captions(videos[:1], 1), captions(videos[3:], 1)
    expected = list(builtin[0].generate([one, other]))
    assert expected[0] != expected[1]
    assert list(builtin[1].generate([one, other])) == expected
    monkeypatch.setattr(frames.VllmFrames, "_identity", lambda _self, _video, number, _size: f"same {number}")
    same = [replace(query, frames=one.frames) for query in (one, other)]
    assert len(set(builtin[1].generate(same))) == 1


def test_a_killed_or_hanging_engine_is_an_error_in_words_and_the_next_run_goes_on(
    builtin: Pair, videos: list[Video]
) -> None:
    queries = captions(videos)
    vlm = replace(builtin[1], vllm=replace(SETTINGS, timeout=60.0))
    expected = list(builtin[0].generate(queries))
    # vLLM does not always notice that its processes were killed: then it hangs.
    for sent, words in (
        (signal.SIGSTOP, "no new token for vllm.timeout"),
        (signal.SIGKILL, "(has ended|no new token)"),
    ):
        stream, answers = vlm.generate(queries), []
        answers.append(next(stream))
        for process in engine_processes(vlm):
            os.kill(process, sent)
        with pytest.raises(ModelError, match=rf"engine is lost: .*{words}"):
            answers.extend(stream)
        given = [a == b for a, b in zip(answers, expected, strict=False) if not isinstance(a, NoAnswer)]
        assert given
        assert all(given)
    assert list(vlm.generate(queries[:2])) == expected[:2]
    vlm.release()


def engine_processes(vlm: TransformersVLM) -> list[int]:
    """vLLM's processes that run the model."""
    import psutil

    core = vlm._start().engine.engine.engine_core
    pids = [process.pid for process in core.resources.engine_manager.processes]
    return [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)] + pids


def test_only_frames_larger_than_a_tile_are_cut_without_crop_to_patches(
    videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without crop_to_patches=False, vLLM cuts a frame of another size than a tile's; those of vaa have a tile's."""
    reference, vlm = both(TINY)
    vlm = replace(vlm, vllm=replace(SETTINGS, timeout=299.0))  # an engine of its own
    queries, whole, own_size = captions(videos, 3), frames.FAMILIES["internvl"], [False]

    def size(processor: FrameProcessor, frame: tuple[int, int], most: int | None) -> tuple[int, int]:
        return frame[::-1] if own_size[0] else whole.size(processor, frame, most)

    family = replace(whole, size=size, options=lambda _: {"max_patches": 12})
    monkeypatch.setitem(frames.FAMILIES, "internvl", family)
    expected = list(reference.generate(queries))
    equal = []
    for own_size[0] in (False, True):
        equal.append(sum(a == b for a, b in zip(vlm.generate(queries), expected, strict=True)))
    vlm.release()
    assert equal[0] == len(queries)
    assert equal[1] < len(queries) / 2


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_texts_and_choices_of_a_random_qwen_are_equal(name: str, tmp_path: Path, videos: list[Video]) -> None:
    reference, vlm = both(tiny_checkpoints.make(name, tmp_path), timestamps=name == "qwen3_vl")
    assert_equal(reference, vlm, captions(videos, max_new_tokens=12), tolerance=1e-4)  # its weights are large
    vlm.release()


def test_texts_and_choices_of_a_text_model_are_equal(tmp_path: Path, videos: list[Video]) -> None:
    reference = cpu_llm(tiny_checkpoints.make("qwen3", tmp_path))
    llm = replace(reference, backend="vllm", vllm=SETTINGS)
    queries = [
        replace(query, frames=(), text=f"{query.text} {k}")
        for k, query in enumerate(captions(videos, max_new_tokens=8))
    ]
    assert list(llm.generate(queries)) == list(reference.generate(queries))
    with pytest.raises(ConfigError, match="text-only"):
        list(llm.generate(captions(videos[:1], 1)))
    llm.release()


def test_tensor_parallel_gives_equal_texts(videos: list[Video], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
    reference, vlm = both(TINY)
    vlm = replace(vlm, vllm=replace(SETTINGS, tensor_parallel=2))
    queries = captions(videos)
    assert list(vlm.generate(queries)) == list(reference.generate(queries))
    vlm.release()
