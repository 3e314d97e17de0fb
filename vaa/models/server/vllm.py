"""What a vLLM server gives beyond OpenAI's protocol: choices whose first tokens are equal, and where images are put.

A choice is queried by a request for each beginning that choices share.

The beginning is the start of the model's answer (`continue_final_message`); the log-probabilities of the tokens that
may follow are requested by their ids (`logprob_token_ids`), so the result is that of a local model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaa.models.choice_tokens import Ids, next_tokens, probabilities
from vaa.models.server.messages import MalformedError, data_url
from vaa.types import Floats

Post = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Sends a JSON body to a path beside the server's /v1, and returns the JSON of its answer."""


@dataclass(frozen=True)
class ChoiceTokens:
    """The token ids of each choice, and the text of each beginning that choices share."""

    choices: Sequence[Sequence[int]]
    texts: Mapping[Ids, str]


async def tokenize_choices(post: Post, model: str, choices: Sequence[str]) -> ChoiceTokens | None:
    """Tokenize choices by the server.

    None if it has no tokenizer to ask, a choice begins another one, or the text of a beginning has other tokens.
    """

    async def tokens(text: str) -> list[int]:
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        return [int(token) for token in (await post("/tokenize", body))["tokens"]]

    try:
        ids = [await tokens(choice) for choice in choices]
        if not all(ids) or any(a is not b and b[: len(a)] == a for a in ids for b in ids):
            return None
        texts = {}
        for beginning in next_tokens(ids):
            content = await post("/detokenize", {"model": model, "tokens": list(beginning)}) if beginning else {}
            texts[beginning] = str(content.get("prompt", ""))
            if beginning and await tokens(texts[beginning]) != list(beginning):
                return None
    except (LookupError, TypeError, ValueError):
        return None
    return ChoiceTokens(ids, texts)


async def moves_images(post: Post, model: str) -> bool:
    """Whether the server's chat template moves an image between two texts before them; False if that is unknown."""
    image = data_url(np.zeros((32, 32, 3), np.uint8), "png", None)
    parts = [{"type": "text", "text": "13579"}, {"type": "image_url", "image_url": {"url": image}}]
    content = [*parts, {"type": "text", "text": "86420"}]
    try:
        body = {"model": model, "messages": [{"role": "user", "content": content}], "add_generation_prompt": True}
        tokens = (await post("/tokenize", body))["tokens"]
        text = str((await post("/detokenize", {"model": model, "tokens": tokens}))["prompt"])
    except (LookupError, TypeError):
        return False
    before, _, rest = text.partition("13579")
    between, found, _ = rest.partition("86420")
    return bool(found and before.strip() and not between.strip())


async def choose(
    send: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]], body: Mapping[str, Any], tokens: ChoiceTokens
) -> Floats:
    """The softmax over the log-likelihoods of the choices, shape (choices,).

    Args:
        send: Sends a request and returns the completion.
        body: The request of the query, for the first token of the answer.
        tokens: The choices.

    Raises:
        MalformedError: a completion lacks the log-probability of a token.
    """

    async def logprobs(beginning: Ids, following: Sequence[int]) -> dict[int, float]:
        extra = {**body["extra_body"], "logprob_token_ids": list(following), "return_tokens_as_token_ids": True}
        extra["top_logprobs"] = min(len(following), 20)
        chat = list(body["messages"])
        if beginning:
            chat.append({"role": "assistant", "content": tokens.texts[beginning]})
            extra |= {"add_generation_prompt": False, "continue_final_message": True}
        completion = await send({**body, "messages": chat, "extra_body": extra})
        return _token_logprobs(completion, following)

    nodes = next_tokens(tokens.choices)
    results = await asyncio.gather(*(logprobs(beginning, following) for beginning, following in nodes.items()))
    return probabilities(tokens.choices, dict(zip(nodes, results, strict=True)))


def _token_logprobs(completion: Mapping[str, Any], wanted: Sequence[int]) -> dict[int, float]:
    try:
        top = completion["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        found = {int(str(entry["token"]).removeprefix("token_id:")): float(entry["logprob"]) for entry in top}
        values = {token: found[token] for token in wanted}
    except (LookupError, TypeError, ValueError) as error:
        raise MalformedError(f"no log-probabilities of the tokens {list(wanted)}") from error
    if not all(map(math.isfinite, values.values())):
        raise MalformedError("the log-probabilities of the choices are not finite")
    return values
