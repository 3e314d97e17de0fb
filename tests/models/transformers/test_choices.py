from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpu_models import cpu_llm, cpu_vlm
from queries import generate_query
from tiny_checkpoints import make

from vaa.errors import ConfigError
from vaa.models import base
from vaa.models.transformers import kv_cache, packed_choices
from vaa.models.transformers.families import VisionInputs
from vaa.models.transformers.llm import TransformersLLM
from vaa.models.transformers.loaded_model import LoadedModel
from vaa.models.transformers.vlm import TransformersVLM
from vaa.types import ChooseQuery, NoAnswer, Query, Video
from vaa.video import sources

NAMES = ["internvl", "qwen2_5_vl", "qwen3_vl", "videollama3", "llava_onevision"]
SINGLE_TOKENS, SEVERAL_TOKENS, PREFIXES = (
    ("a", "c"),
    ("Normal scenes", "Anomalous", "car"),
    ("run", "run in the street", "walk"),
)
QueryFactory = Callable[..., Query]


@pytest.fixture(scope="module")
def folders(internvl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: make(name, tmp_path_factory.mktemp(name)) for name in [*NAMES[1:], "llama3_1"]}
    return {**made, "internvl": internvl}


@pytest.fixture
def vlm(request: pytest.FixtureRequest, folders: dict[str, Path]) -> TransformersVLM:
    return cpu_vlm(folders[getattr(request, "param", "qwen2_5_vl")])


@pytest.fixture
def llm(folders: dict[str, Path]) -> TransformersLLM:
    return cpu_llm(folders["llama3_1"])


@pytest.fixture
def make_query(clip: Path) -> QueryFactory:
    def query(
        *frames: int, text: str = "what happens", choices: tuple[str, ...] = SINGLE_TOKENS, **other: Any
    ) -> Query:
        path = other.pop("path", clip)
        return ChooseQuery(
            purpose="probe",
            video=Video("clip", path, 25, 10.0),
            at=0,
            frames=frames,
            text=text,
            choices=choices,
            **other,
        )

    return query


each = pytest.mark.parametrize("vlm", NAMES, indirect=True)


def expected(loaded: LoadedModel, query: Query) -> np.ndarray[Any, Any]:
    """Computed by one forward pass over the whole text and each choice, without a cache."""
    import torch

    frames = sources.frames(query.video, query.frames, "decord") if query.frames else []
    inputs = loaded.to_device(loaded.frame_processor.prepare(list(frames))) if len(frames) else VisionInputs({}, ())
    text = loaded.chat_text(query, inputs.tokens)
    prompt = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    ends = [loaded.tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in query.choices]
    if query.choices == PREFIXES:
        ends = [[*end, loaded.tokenizer.eos_token_id] for end in ends]
    totals = []
    for end in ends:
        ids = torch.tensor([prompt + end])
        visual = {**inputs.tensors, **loaded.token_types(ids)} if inputs.tensors else {}
        with torch.inference_mode():
            logits = loaded.model(input_ids=ids, **visual).logits[0, len(prompt) - 1 : -1].double().log_softmax(-1)
        totals.append(sum(float(logits[k, token]) for k, token in enumerate(end)))
    odds = np.exp(np.asarray(totals) - max(totals))
    return odds / odds.sum()


@each
def test_a_model_with_layers_on_the_disk_gives_the_same_answers(
    vlm: TransformersVLM, make_query: QueryFactory, tmp_path: Path
) -> None:
    from accelerate import dispatch_model

    queries = [
        make_query(0, 5),
        make_query(10),
        *(generate_query(make_query(*shown), 8) for shown in ((0, 5), (10, 12, 24))),
    ]
    before, loaded = list(base.answer(vlm, queries)), vlm._load()
    text, places = loaded.model.model.language_model, {"": "cpu", "model.language_model.layers": "disk"}
    loaded.model = dispatch_model(loaded.model, places, main_device="cpu", offload_dir=tmp_path)
    assert {weight.device.type for weight in text.layers.parameters()} == {"meta"}
    after = list(base.answer(vlm, queries))
    assert after[2:] == before[2:]
    assert np.allclose(after[:2], before[:2], atol=1e-6)


@each
@pytest.mark.parametrize(
    "choices", [SINGLE_TOKENS, SEVERAL_TOKENS, PREFIXES], ids=["single tokens", "several tokens", "prefixes"]
)
def test_probabilities_equal_those_of_one_forward_pass_per_choice(
    vlm: TransformersVLM, make_query: QueryFactory, choices: tuple[str, ...]
) -> None:
    queries = [
        make_query(0, 5, text=f"is it {k}", choices=choices, system="Frame") for k in ("a car", "the street", "runs")
    ]
    queries += [
        make_query(choices=choices),
        make_query(7, choices=choices),
        make_query(7, text="walks", choices=choices),
    ]
    batched = list(vlm.choose(queries))
    for query, answer in zip(queries, batched, strict=True):
        assert isinstance(answer, np.ndarray)
        assert (answer.dtype, answer.shape) == (np.float64, (len(choices),))
        np.testing.assert_allclose(answer.sum(), 1, atol=1e-12)
        np.testing.assert_allclose(answer, next(vlm.choose([query])), atol=1e-4)
        np.testing.assert_allclose(answer, expected(vlm._load(), query), atol=1e-4)
        np.testing.assert_allclose(np.log(answer), np.log(expected(vlm._load(), query)), atol=1e-3)
    assert len({tuple(np.round(np.log(np.asarray(answer)), 2)) for answer in batched}) == len(batched)


@each
@pytest.mark.parametrize("text", ["{0} <image> what <image>", "<image><image> is it {0}"], ids=["before", "after"])
def test_queries_about_the_same_frames_share_decoding_and_encoding(
    vlm: TransformersVLM, make_query: QueryFactory, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = vlm._load()
    model = loaded.model.model
    tower = next(getattr(model, n) for n in ("vision_tower", "visual", "vision_model") if hasattr(model, n))
    encoded, prefilled, decoded = [], [], []
    hooks = [
        tower.register_forward_hook(lambda *_: encoded.append(1)),
        model.language_model.register_forward_pre_hook(
            lambda _m, _a, kwargs: prefilled.append(kwargs["inputs_embeds"].shape[:2]), with_kwargs=True
        ),
    ]
    frames = sources.frames
    monkeypatch.setattr(sources, "frames", lambda *given: decoded.append(1) or frames(*given))
    words = ["a car", "the street", "a person", "runs", "fights", "walks"]  # more than batch_size
    queries = [make_query(0, 24, text=text.format(word)) for word in words]
    batched = list(vlm.choose(queries))
    for hook in hooks:
        hook.remove()
    assert (len(encoded), len(decoded)) == (1, 1)
    if "is it" in text:  # the shared prefix once, then all endings together
        assert len(prefilled) == 2
        assert prefilled[1][0] == len(words)
        assert prefilled[0][1] > 2 * prefilled[1][1]
    for query, answer in zip(queries, batched, strict=True):
        np.testing.assert_allclose(answer, next(vlm.choose([query])), atol=1e-4)
        np.testing.assert_allclose(answer, expected(loaded, query), atol=1e-4)


@each
def test_queries_about_several_windows_are_processed_in_one_batch(
    vlm: TransformersVLM, make_query: QueryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two queries about each of three windows, the last with fewer frames; a batch has four queries."""
    queries = [
        make_query(*shown, text=f"is it {w}") for shown in ((0, 5), (9, 14), (20,)) for w in ("a car", "the street")
    ]
    sizes, model = [], vlm._load().model.model
    hook = model.language_model.register_forward_pre_hook(
        lambda _m, _a, kwargs: sizes.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    batched = list(vlm.choose(queries))
    assert sizes == [2, 4, 1, 2]  # the prefixes of two windows, then their endings; the same for the third
    monkeypatch.setattr(kv_cache, "_PREFILL_TOKENS", {"cpu": 1})
    list(vlm.choose(queries))
    hook.remove()
    assert sizes[4:] == [1, 2] * 3
    for query, answer in zip(queries, batched, strict=True):
        np.testing.assert_allclose(answer, expected(vlm._load(), query), atol=1e-4)
        np.testing.assert_allclose(np.log(answer), np.log(expected(vlm._load(), query)), atol=1e-3)


def test_generate_and_choose_queries_are_answered_in_order_in_one_call(
    vlm: TransformersVLM, make_query: QueryFactory, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    bad = [make_query(0, path=tmp_path / "bad.mp4"), make_query(0, text="a car", path=tmp_path / "bad.mp4")]
    good = [
        make_query(0),
        make_query(0, text="runs"),
        generate_query(make_query(0), 4),
        make_query(),
        make_query(5),
        make_query(choices=SEVERAL_TOKENS),
    ]
    answers = list(base.answer(vlm, [good[0], *bad, *good[1:4], *good[4:], bad[0]]))
    assert [k for k, result in enumerate(answers) if isinstance(result, NoAnswer)] == [1, 2, 8]
    results = [result for result in answers if not isinstance(result, NoAnswer)]
    for query, result in zip(good, results, strict=True):
        alone = next(base.answer(vlm, [query]))
        assert result == alone if isinstance(result, str) else np.abs(result - alone).max() < 1e-4


def test_a_text_model_processes_a_shared_prefix_once_and_packs_what_follows(
    llm: TransformersLLM, make_query: QueryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_choices, "_ROW_TOKENS", 30)
    loaded, sizes = llm._load(), []
    hook = loaded.model.model.register_forward_pre_hook(
        lambda _m, _a, kwargs: sizes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    batches = [
        [make_query(text=f"a person {word}", system="Normal scenes") for word in ("runs", "walks here", "fights", "a")],
        [
            make_query(text=f"a person {'a ' * 30}", system="Normal scenes"),
            make_query(text="a", system="Normal scenes"),
        ],
        [make_query(text="a car")],
    ]
    answers = [answer for queries in batches for answer in llm.choose(queries)]
    hook.remove()
    # The beginning, a row; two rows, since one query is longer than a row; a shorter beginning, a row.
    assert [rows for rows, _ in sizes] == [1] * 6
    assert max(tokens for _, tokens in sizes) > 30
    for query, answer in zip([query for queries in batches for query in queries], answers, strict=True):
        np.testing.assert_allclose(answer, expected(loaded, query), atol=1e-4)


def test_choices_of_several_tokens_are_continued_in_a_batch(llm: TransformersLLM, make_query: QueryFactory) -> None:
    queries = [make_query(text=f"a person {word}", choices=SEVERAL_TOKENS) for word in ("runs", "walks here")]
    for query, answer in zip(queries, llm.choose(queries), strict=True):
        np.testing.assert_allclose(answer, expected(llm._load(), query), atol=1e-4)


def test_a_model_without_chat_continues_the_text(folders: dict[str, Path], make_query: QueryFactory) -> None:
    llm, query = cpu_llm(folders["llama3_1"], chat=False), make_query(text="a person", system="Normal scenes")
    assert llm._load().chat_text(query, ()) == "Normal scenes\n\na person"
    np.testing.assert_allclose(next(llm.choose([query])), expected(llm._load(), query), atol=1e-4)
    assert llm.identity != cpu_llm(folders["llama3_1"]).identity


def test_earlier_queries_do_not_change_the_positions_of_later_ones(
    vlm: TransformersVLM, make_query: QueryFactory
) -> None:
    text = make_query(text="a car")
    before = next(vlm.choose([text]))
    list(vlm.choose([make_query(0, 5, 9)]))  # Qwen stores by how much frames shift the positions
    np.testing.assert_array_equal(next(vlm.choose([text])), before)


def test_an_empty_choice_is_refused(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    with pytest.raises(ConfigError, match="probe query has an empty choice"):
        list(vlm.choose([make_query(0, choices=("a", ""))]))
