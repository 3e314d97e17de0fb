from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from cpu_models import cpu_llm
from hydra.utils import instantiate
from queries import choose_query
from tiny_checkpoints import make

from vaa.errors import ConfigError, ModelError
from vaa.generation import GREEDY, GenerationConfig
from vaa.models import base
from vaa.models.transformers import generation
from vaa.models.transformers.generation import sample_tokens
from vaa.models.transformers.llm import TransformersLLM
from vaa.models.transformers.loaded_model import chat_text
from vaa.types import GenerateQuery, Query, Video

CONF = Path(__file__).parents[3] / "conf/llm"
TEST_FIELDS = {"vllm": None, "dtype": "float32", "device_map": "cpu", "batch_size": 3}
NO_VIDEO = Video("clip", Path("nowhere.mp4"), 25, 10.0)
URF = GenerationConfig(temperature=0.6, top_p=0.9, top_k=None, seed=1)
HOT = GenerationConfig(temperature=2.0, top_p=1.0, top_k=None, seed=0)


def make_query(text: str, system: str = "", limit: int = 8, frames: tuple[int, ...] = ()) -> Query:
    return GenerateQuery(
        purpose="rating", video=NO_VIDEO, at=0, frames=frames, text=text, system=system, max_new_tokens=limit
    )


QUERIES = [
    make_query(t, s) for t in ("a car", "a person walks in the street", "fights", "runs here") for s in ("", "Normal")
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: make(name, tmp_path_factory.mktemp(name)) for name in ("llama3_1", "qwen3")}


@pytest.fixture
def llm(request: pytest.FixtureRequest, folders: dict[str, Path]) -> TransformersLLM:
    """The model of a yaml file, on a tiny checkpoint of its architecture."""
    name = getattr(request, "param", "llama3_1")
    fields = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    model: TransformersLLM = instantiate(fields | TEST_FIELDS | {"checkpoint": str(folders[name])}, _convert_="all")
    return model


@pytest.mark.parametrize("llm", ["llama3_1", "qwen3"], indirect=True)
@pytest.mark.parametrize("generation", [GREEDY, URF], ids=["greedy", "URF"])
def test_a_batch_is_answered_like_each_query_alone(llm: TransformersLLM, generation: GenerationConfig) -> None:
    handle = replace(llm, generation=generation)
    batched = list(handle.generate(QUERIES))
    assert batched == [next(handle.generate([query])) for query in QUERIES]
    assert batched == list(handle.generate(QUERIES[::-1]))[::-1]
    assert len(set(batched)) == len(QUERIES)
    handle.release()


def test_sampled_answers_depend_on_the_seed_but_not_on_the_batch(llm: TransformersLLM) -> None:
    hot = replace(llm, generation=HOT)
    handles = [hot, replace(hot, generation=replace(HOT, seed=7)), replace(hot, batch_size=8), llm]
    answers = [list(handle.generate(QUERIES)) for handle in handles]
    assert answers[0] == answers[2]
    assert answers[0] != answers[1]
    assert answers[0] != answers[3]
    assert len({handle.identity for handle in [*handles, replace(llm, generation=replace(HOT, top_p=0.5))]}) == 4
    for handle in handles:
        handle.release()


def test_a_shorter_answer_is_the_beginning_of_the_longer(llm: TransformersLLM) -> None:
    handle = replace(llm, generation=HOT)
    short, long = handle.generate([make_query("a car", limit=3), make_query("a car", limit=9)])
    tokenizer = handle._load().tokenizer
    assert short == tokenizer.decode(tokenizer(long, add_special_tokens=False)["input_ids"])[: len(str(short))]
    handle.release()


def test_tokens_are_sampled_with_their_probability() -> None:
    import torch

    scores = torch.tensor([2.0, 1.0, 3.0, -1.0, 0.0])
    numbers = [(k + 0.5) / 4000 for k in range(4000)]
    for temperature, top_p, n_tokens in ((1.0, 1.0, 5), (0.6, 1.0, 5), (1.0, 0.9, 3), (1.0, 0.6, 1), (1.0, 1e-6, 1)):
        expected = torch.softmax(scores.double() / temperature, 0)
        expected[expected.argsort(descending=True)[n_tokens:]] = 0
        places = sample_tokens(
            scores.expand(4000, 5), GenerationConfig(temperature=temperature, top_p=top_p, top_k=None, seed=0), numbers
        )
        shares = torch.bincount(places.flatten(), minlength=5) / 4000
        np.testing.assert_allclose(shares, expected / expected.sum(), atol=2e-3)
    edge = sample_tokens(
        scores.expand(2, 5), GenerationConfig(temperature=1.0, top_p=0.9, top_k=None, seed=0), [0.0, 1 - 1e-12]
    )
    assert edge.flatten().tolist() == [2, 1]


def test_of_all_tokens_only_the_most_likely_ones_are_sampled_and_top_p_is_of_their_probability() -> None:
    import torch

    scores, numbers = torch.tensor([2.0, 1.0, 3.0, -1.0, 0.0]), [(k + 0.5) / 4000 for k in range(4000)]
    for top_k, top_p, n_tokens in ((3, 1.0, 3), (1, 1.0, 1), (9, 1.0, 5), (3, 0.9, 2)):  # 0.09 of three is the third's
        expected = torch.softmax(scores.double(), 0)
        expected[expected.argsort(descending=True)[n_tokens:]] = 0
        places = sample_tokens(
            scores.expand(4000, 5), GenerationConfig(temperature=1.0, top_p=top_p, top_k=top_k, seed=0), numbers
        )
        shares = torch.bincount(places.flatten(), minlength=5) / 4000
        np.testing.assert_allclose(shares, expected / expected.sum(), atol=2e-3)


def test_a_querys_own_generation_settings_replace_those_of_the_model(llm: TransformersLLM) -> None:
    sampled = [replace(query, generation=HOT) for query in QUERIES]
    mixed = [one if k % 2 else two for k, (one, two) in enumerate(zip(QUERIES, sampled, strict=True))]
    greedy, hot, both = (list(llm.generate(queries)) for queries in (QUERIES, sampled, mixed))
    assert hot == list(replace(llm, generation=HOT).generate(QUERIES))
    assert hot != greedy
    assert both == [one if k % 2 else two for k, (one, two) in enumerate(zip(greedy, hot, strict=True))]
    with pytest.raises(ConfigError, match="temperature, top_p and seed"):
        list(llm.generate([replace(QUERIES[0], generation=replace(HOT, seed=None))]))


def test_tokens_of_a_text_are_counted_by_the_tokenizer(llm: TransformersLLM) -> None:
    text = "a person walks in the street"
    assert llm.count_tokens(text) == len(llm._load().tokenizer(text, add_special_tokens=False)["input_ids"]) > 1
    assert llm.count_tokens("") == 0


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}], ids=str)
def test_impossible_generation_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"{next(iter(wrong))}="):
        replace(GREEDY, **wrong)


def test_a_local_model_refuses_settings_left_to_a_server(llm: TransformersLLM) -> None:
    with pytest.raises(ConfigError, match="temperature, top_p and seed"):
        replace(llm, generation=replace(GREEDY, seed=None))


def test_a_checkpoints_sampling_is_dropped_but_its_end_tokens_are_used(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    import torch
    from transformers import GenerationConfig as HuggingFaceConfig

    folder = tmp_path / "talkative"
    shutil.copytree(folders["qwen3"], folder)
    own = HuggingFaceConfig(do_sample=True, temperature=0.7, top_p=0.8, top_k=20, eos_token_id=[1, 2, 40])
    own.save_pretrained(folder)
    llm = cpu_llm(folder, batch_size=8)
    assert list(llm.generate(QUERIES)) == list(replace(llm, checkpoint=str(folders["qwen3"])).generate(QUERIES))
    loaded = llm._load().model
    assert loaded.generation_config.eos_token_id == [1, 2, 40]
    hook = loaded.lm_head.register_forward_hook(lambda _m, _i, scores: scores.index_fill(-1, torch.tensor(40), 99.0))
    assert list(llm.generate(QUERIES)) == [llm._load().tokenizer.decode([40])] * len(QUERIES)
    hook.remove()


def test_a_text_model_refuses_frames(llm: TransformersLLM) -> None:
    with pytest.raises(ConfigError, match="rating prompt has frames"):
        llm.generate([make_query("a car", frames=(0,))])


def test_thinking_is_off_where_the_template_can_switch_it_off(llm: TransformersLLM) -> None:
    tokenizer = llm._load().tokenizer
    template = tokenizer.chat_template
    tokenizer.chat_template = template + "{% if enable_thinking is false %}<think></think>{% endif %}"
    assert chat_text(tokenizer, make_query("a car"), []) == "<user>a car<assistant><think></think>"
    tokenizer.chat_template = template


PARTS = (
    "{% for m in messages %}<{{ m.role }}>"
    "{% for c in m.content | selectattr('type', 'equalto', 'text') %}{{ c.text }}{% endfor %}{% endfor %}<assistant>"
)


def test_a_template_may_take_content_as_parts_but_must_not_drop_a_message(llm: TransformersLLM) -> None:
    tokenizer = llm._load().tokenizer
    template, tokenizer.chat_template = tokenizer.chat_template, PARTS
    assert chat_text(tokenizer, make_query("a car", "Normal"), []) == "<system>Normal<user>a car<assistant>"
    tokenizer.chat_template = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    with pytest.raises(ModelError, match="chat template"):
        chat_text(tokenizer, make_query("a car", "Normal"), [])
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
        "{{ m.content + '!' }}{% endfor %}"
    )
    assert chat_text(tokenizer, make_query("a car"), []) == "a car!"
    with pytest.raises(ModelError, match="chat template"):
        chat_text(tokenizer, make_query("a car", "Normal"), [])
    tokenizer.chat_template = template


@pytest.mark.parametrize("attention", ["flash_attention_2", "eager"])
def test_attention_falls_back_with_a_warning(
    llm: TransformersLLM, attention: str, caplog: pytest.LogCaptureFixture
) -> None:
    handle = replace(llm, attention=attention)
    assert list(handle.generate(QUERIES)) == list(llm.generate(QUERIES))
    used = handle._load().model.config._attn_implementation
    messages = [record.message for record in caplog.records if record.name == "vaa"]
    if attention == "eager":
        assert (used, messages) == ("eager", [])
    else:
        assert used == "sdpa"
        assert len(messages) == 1
        assert messages[0].startswith("attention=flash_attention_2 is not available, using sdpa instead")
    handle.release()


def test_an_unknown_attention_is_refused(llm: TransformersLLM) -> None:
    with pytest.raises(ModelError, match="telepathy"):
        list(replace(llm, attention="telepathy").generate(QUERIES))


def raising(max_rows: int, error: Exception):  # type: ignore[no-untyped-def]
    def hook(_module: object, _args: object, kwargs: dict[str, object]) -> None:
        if len(kwargs["input_ids"]) > max_rows:  # type: ignore[arg-type]
            raise error

    return hook


def errors() -> list[Exception]:
    import torch

    return [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
        MemoryError("Unable to allocate 9 GiB for an array"),
    ]


@pytest.mark.parametrize(
    ("error", "choices"),
    [*((error, ()) for error in errors()), (MemoryError(), ("Normal scenes", "car"))],
    ids=["accelerator", "allocator", "numpy", "choices"],
)
def test_out_of_memory_halves_the_batch_with_a_warning(
    llm: TransformersLLM, error: Exception, choices: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    queries = [choose_query(query, choices) if choices else query for query in QUERIES]
    wide = replace(llm, batch_size=5)  # with two choices of several tokens, a query has two rows
    expected = list(base.answer(llm, queries))
    hook = wide._load().model.register_forward_pre_hook(raising(4 if choices else 2, error), with_kwargs=True)
    answers = list(base.answer(wide, queries))
    for one, other in zip(answers, expected, strict=True):
        assert one == other if isinstance(one, str) else np.abs(one - np.asarray(other)).max() < 1e-4
    messages = [record.message for record in caplog.records]
    assert messages == ["Out of memory with a batch of 5 queries; the batch size is now 2."]
    assert len(list(base.answer(wide, queries))) == len(queries)
    assert len(caplog.records) == 1  # the new size stays in use
    hook.remove()
    wide.release()


def test_out_of_memory_with_one_query_is_an_error_and_other_errors_are_raised(
    llm: TransformersLLM,
) -> None:
    handle = replace(llm, batch_size=6)
    for error, expected, message in (
        (MemoryError("no"), ModelError, r"Out of memory with a single query \(rating, 0 frames\)"),
        (RuntimeError("shapes do not match"), RuntimeError, "shapes do not match"),
    ):
        hook = handle._load().model.register_forward_pre_hook(raising(0, error), with_kwargs=True)
        with pytest.raises(expected, match=message):
            list(handle.generate(QUERIES))
        hook.remove()
    handle.release()


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_quantized_weights_answer_without_a_warning_a_multiplication(
    llm: TransformersLLM, quantization: str, caplog: pytest.LogCaptureFixture
) -> None:
    handle = replace(llm, quantization=quantization, dtype="bfloat16")
    assert all(isinstance(answer, str) for answer in handle.generate(QUERIES[:2]))
    assert not [record for record in caplog.records if "autograd" in record.name]
    handle.release()


class WordTokenizer:
    """Token k is word k of a text; `special` words are special tokens."""

    def __init__(self, text: str, special: tuple[str, ...] = ()) -> None:
        self.words = text.split(" ")
        numbers = [k for k, word in enumerate(self.words) if word in special]
        self.added_tokens_decoder = {k: SimpleNamespace(content=self.words[k], special=True) for k in numbers}

    def batch_decode(self, rows: Any, skip_special_tokens: bool) -> list[str]:
        skipped = self.added_tokens_decoder if skip_special_tokens else {}
        return ["".join(self.words[k] for k in map(int, row) if k not in skipped) for row in rows]


@pytest.mark.parametrize(
    ("text", "opened", "special", "answer"),
    [
        ("<think> calm [0.0] fight </think> [0.9] and more", "", (), "<think>calm[0.0]fight</think>[0.9]"),
        ("calm [0.0] fight </think> [0.9] and more", "<think>", (), "<think>calm[0.0]fight</think>[0.9]"),
        ("[THINK] [0.0] [/THINK] <s> [0.9] more", "", ("[THINK]", "[/THINK]", "<s>"), "[THINK][0.0][/THINK][0.9]"),
        ("[0.1] </s> more", "", ("</s>",), "[0.1]"),
        ("<think> [0.0] and no end", "", (), "<think>[0.0]andnoend"),
    ],
)
def test_generation_does_not_stop_inside_thoughts(
    text: str, opened: str, special: tuple[str, ...], answer: str
) -> None:
    tokenizer, pattern = WordTokenizer(text, special), r"\[[0-9.]+\]"
    query = GenerateQuery(
        purpose="rating", video=NO_VIDEO, at=0, frames=(), text="", max_new_tokens=9, stop_pattern=pattern
    )
    (stop,) = generation._stopping_criteria(tokenizer, [query], [opened], 0)
    ids = torch.arange(len(tokenizer.words))[None]
    lengths = [n for n in range(1, ids.shape[1] + 1) if stop(ids[:, :n], None)[0]]
    shown = ids[:, : lengths[0] if lengths else None]
    assert opened + generation.answer_decoder(tokenizer)(shown)[0] == answer


def test_an_answer_to_a_prompt_that_opens_thoughts_begins_with_their_mark(llm: TransformersLLM) -> None:
    loaded = llm._load()
    template = loaded.tokenizer.chat_template
    loaded.tokenizer.chat_template = template + "{% if add_generation_prompt %}<think>\n{% endif %}"
    try:
        (text,) = llm.generate([make_query("a car")])
        assert str(text).startswith("<think>\n")
        with pytest.raises(ConfigError, match="readout"):
            list(llm.choose([choose_query(make_query("a car"), ("yes", "no"))]))
    finally:
        loaded.tokenizer.chat_template = template
        llm.release()
