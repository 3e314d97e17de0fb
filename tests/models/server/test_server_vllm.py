"""What a vLLM server has beyond OpenAI's protocol. Against a real one: test_server_vllm_live.py (make test-vllm)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_server import FakeServer, Reply, completion, error, server_model, top_logprobs

from vaa.models.server.model import ServerModel
from vaa.types import ChooseQuery, GenerateQuery, NoAnswer, Video

VERDICTS = ("```\nBad", "```\nGood")
RATINGS = ("[0.0]", "[0.5]", "[1.0]")


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    server.other_paths = True
    yield server
    server.close()


@pytest.fixture
def server(fake: FakeServer) -> ServerModel:
    model: ServerModel = server_model(fake.url)
    return model


def query(*choices: str) -> ChooseQuery:
    return ChooseQuery(purpose="verdict", video=Video("v", Path("v.mp4"), 25, 10.0), at=0, frames=(), text="?",
                       choices=choices)  # fmt: skip


def logprob(beginning: str, token: int) -> float:
    return -((len(beginning) + token) % 7) / 3


def vllm(body: dict[str, Any], _before: int) -> Reply:
    """A vLLM server whose tokens are characters."""
    if "tokens" in body:
        return Reply(body={"prompt": "".join(map(chr, body["tokens"]))})
    if "prompt" in body:
        return Reply(body={"tokens": [ord(character) for character in body["prompt"]]})
    if "logprob_token_ids" not in body:
        return completion("[", logprobs=top_logprobs(**{"[": -0.1, "`": -2.0}))
    last = body["messages"][-1]
    beginning = last["content"] if last["role"] == "assistant" else ""
    assert bool(beginning) == body.get("continue_final_message", False) != body.get("add_generation_prompt", True)
    tokens = {f"token_id:{token}": logprob(beginning, token) for token in body["logprob_token_ids"]}
    return completion("x", logprobs=top_logprobs(**tokens))


def expected(choices: tuple[str, ...]) -> np.ndarray[Any, Any]:
    scores = [sum(logprob(choice[:k], ord(c)) for k, c in enumerate(choice)) for choice in choices]
    weights = np.exp(np.array(scores) - max(scores))
    return weights / weights.sum()


@pytest.mark.parametrize("choices", [VERDICTS, RATINGS])
def test_choices_with_the_same_first_token_have_the_probabilities_of_the_whole_choices(
    fake: FakeServer, server: ServerModel, choices: tuple[str, ...]
) -> None:
    fake.script = vllm
    answers = list(server.choose([query(*choices)] * 3))
    for answer in answers:
        np.testing.assert_allclose(answer, expected(choices))
    tokenized = [body for body in fake.bodies if "prompt" in body]
    assert len({str(body) for body in tokenized}) >= len(choices)
    assert server.usage["answers"] >= 3


def test_a_server_without_a_tokenizer_has_no_answer_as_before(fake: FakeServer, server: ServerModel) -> None:
    fake.script = lambda body, n: vllm(body, n) if "messages" in body else error(404, "Not Found")
    (answer,) = server.choose([query(*VERDICTS)])
    assert isinstance(answer, NoAnswer)
    assert answer.reason.startswith("no distinct token for choice")


def test_a_server_that_does_not_continue_answers_has_no_answer_and_says_why(
    fake: FakeServer, server: ServerModel
) -> None:
    def refusing(body: dict[str, Any], before: int) -> Reply:
        return error(400, "no such field") if "continue_final_message" in body else vllm(body, before)

    fake.script = refusing
    (answer,) = server.choose([query(*VERDICTS)])
    assert isinstance(answer, NoAnswer)
    assert "no such field" in answer.reason


def test_a_choice_that_begins_another_one_is_not_guessed(fake: FakeServer, server: ServerModel) -> None:
    fake.script = vllm
    (answer,) = server.choose([query("[1", "[1]")])
    assert isinstance(answer, NoAnswer)
    assert "no distinct token" in answer.reason


@pytest.mark.parametrize("moved", [True, False])
def test_a_template_that_moves_images_to_the_front_is_noticed_once(
    fake: FakeServer, server: ServerModel, clip: Path, caplog: pytest.LogCaptureFixture, moved: bool
) -> None:
    def script(body: dict[str, Any], before: int) -> Reply:
        if "messages" in body and "max_tokens" not in body:
            text = "<user><image>13579\n86420<assistant>" if moved else "<user>13579<image>86420<assistant>"
            return Reply(body={"tokens": [ord(character) for character in text]})
        return completion("fine") if "messages" in body else vllm(body, before)

    fake.script = script
    video = Video("clip", clip, 25, 10.0)
    queries = [
        GenerateQuery(purpose="compare", video=video, at=0, frames=(0, 5), text="First <image> then <image>",
                      max_new_tokens=number) for number in (8, 9)
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        assert list(server.generate(queries)) == ["fine", "fine"]
    assert caplog.text.count("moves all images before the text, so the compare prompt's <image> marks") == moved
    assert len([body for body in fake.bodies if "max_tokens" not in body and "messages" in body]) == 1
