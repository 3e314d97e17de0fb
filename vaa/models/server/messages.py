"""Requests to and responses of an OpenAI-compatible server."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from vaa.errors import ConfigError
from vaa.generation import GenerationConfig
from vaa.prompts.template import split_at_images
from vaa.types import ChatQuery, ChooseQuery, Floats, NoAnswer, Pixels

_FORMAT = re.compile(r"png|jpeg([1-9]\d?|100)")
_TOP_LOGPROBS = 20  # the protocol's maximum
_MAX_CHARACTERS = 300  # of a server's text in a message
NO_LOGPROBS = (
    "the server returns no log-probabilities, which are needed for the probabilities of choices. Use a server that "
    "does, such as vLLM; method=watch does without them if vlm.logprobs=false."
)

NO_DISTINCT_TOKEN = "no distinct token"  # noqa: S105, a beginning of a reason


class MalformedError(Exception):
    """A response body is not a chat completion."""


def check_format(image_format: str) -> None:
    """Check that the format is `png` or `jpegQUALITY`.

    Raises:
        ConfigError: it is not.
    """
    if not _FORMAT.fullmatch(image_format):
        raise ConfigError(f"image_format={image_format}: give png, or jpeg with its quality of 1 to 100, as in jpeg90.")


def data_url(frame: Pixels, image_format: str, max_side: int | None) -> str:
    """A frame (h, w, 3) as a data URL, reduced so that neither side is longer than `max_side` pixels."""
    image, buffer = Image.fromarray(frame), io.BytesIO()
    if max_side is not None:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    encoding, quality = image_format[:4].rstrip("0123456789"), image_format.removeprefix("jpeg")
    image.save(buffer, encoding, **({} if encoding == "png" else {"quality": int(quality)}))
    return f"data:image/{encoding};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def chat_messages(query: ChatQuery, images: Sequence[str]) -> list[dict[str, Any]]:
    """System and user message; each image replaces an `<image>` of the text, or all precede a text without any.

    Raises:
        ConfigError: the number of `<image>` marks differs from the number of frames.
    """
    *before_images, last = split_at_images(query)
    parts: list[dict[str, Any]] = []
    for before, image in zip(before_images, images, strict=True):
        parts += [{"type": "text", "text": before}] if before else []
        parts.append({"type": "image_url", "image_url": {"url": image}})
    parts += [{"type": "text", "text": last}] if last else []
    system = [{"role": "system", "content": query.system}] if query.system else []
    return [*system, {"role": "user", "content": parts if images else query.text}]


def generation_fields(query: ChatQuery, generation: GenerationConfig, token_limit: str) -> dict[str, Any]:
    """The request's generation parameters; values that are None and a limit of 0 are omitted.

    `generation` is the model's, which a query may replace.
    Probabilities of choices are requested at temperature 1, at which no server rescales log-probabilities.
    """
    if isinstance(query, ChooseQuery):
        return {token_limit: 1, "logprobs": True, "top_logprobs": _TOP_LOGPROBS, "temperature": 1.0, "top_p": 1.0}
    settings = asdict(query.generation or generation)
    fields = {name: value for name, value in settings.items() if value is not None}
    return fields | ({token_limit: query.max_new_tokens} if query.max_new_tokens else {})


def parse_completion(body: str) -> dict[str, Any]:
    """A chat completion from its JSON.

    Raises:
        MalformedError: the body is something else.
    """
    try:
        completion = json.loads(body)
        if isinstance(completion["choices"][0]["message"], dict):
            return dict(completion)
    except (ValueError, LookupError, TypeError):
        pass
    raise MalformedError(f"not a chat completion: {body!r}")


def read_answer(completion: Mapping[str, Any], query: ChatQuery) -> str | Floats | NoAnswer:
    """The text, or the probabilities of the query's choices; NoAnswer for a refusal, an empty text and no text.

    Raises:
        ConfigError: probabilities are needed, and the server returns no log-probabilities.
    """
    choice = completion["choices"][0]
    message, finish_reason = choice["message"], choice.get("finish_reason")
    if message.get("refusal"):
        return NoAnswer(f"the model refused: {message['refusal']}")
    if finish_reason == "content_filter":
        return NoAnswer("the server's content filter stopped the answer")
    if isinstance(query, ChooseQuery):
        return probabilities(choice, query.choices)
    content = message.get("content")
    text = content_text(content)
    if text and text.strip():
        return text
    if text is None and content is not None:
        return NoAnswer(f"the answer's content is {_form(content)}, where text or a list of text parts is expected")
    limit = f" {query.max_new_tokens}" if query.max_new_tokens else ""
    cause = (
        f": all{limit} tokens were used before the text, perhaps for reasoning"
        if reached_token_limit(completion)
        else ""
    )
    return NoAnswer(f"the answer is empty (finish_reason {finish_reason}{cause})")


def content_text(content: Any) -> str | None:
    """The text of a message's content: a string, a part or a list of parts; None if it has another form.

    Parts with thoughts become text between `<think>` marks.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [content_text(part) for part in content]
        return None if None in texts else "".join(map(str, texts))
    kind = content.get("type", "text") if isinstance(content, dict) else None
    if kind in ("thinking", "reasoning"):
        thoughts = content_text(content.get(kind) or content.get("text") or [])
        return None if thoughts is None else f"<think>{thoughts}</think>"
    return content_text(content.get("text")) if kind in ("text", "output_text") else None


def _form(content: Any) -> str:
    """What a content that is no text consists of, in words."""
    if isinstance(content, dict):
        return f"an object with the keys {', '.join(map(str, content)) or 'none'}"
    if isinstance(content, list):
        other = next(part for part in content if content_text(part) is None)
        kind = f" of type {other['type']}" if isinstance(other, dict) and "type" in other else f": {_form(other)}"
        return f"a list with a part{kind}"
    return f"a {type(content).__name__}"


def reached_token_limit(completion: Mapping[str, Any]) -> bool:
    """Whether the answer reached its limit of tokens."""
    return bool(completion["choices"][0].get("finish_reason") == "length")


def probabilities(choice: Mapping[str, Any], choices: Sequence[str]) -> Floats | NoAnswer:
    """Softmax over the choices' first tokens, shape (choices,); NoAnswer if one is not among the top tokens.

    Raises:
        ConfigError: the server returns no log-probabilities.
    """
    try:
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        logprobs = {str(entry["token"]): float(entry["logprob"]) for entry in top}
    except (LookupError, TypeError, ValueError):
        logprobs = {}
    if not logprobs:
        raise ConfigError(f"Choices: {NO_LOGPROBS}")
    tokens = [_first_token(text, choices, logprobs) for text in choices]
    for text, token in zip(choices, tokens, strict=True):
        if token is None:
            likeliest = ", ".join(map(repr, list(logprobs)[:5]))
            return NoAnswer(f"{NO_DISTINCT_TOKEN} for choice {text!r} among the top {len(logprobs)}: {likeliest}")
    weights = np.array([math.exp(logprobs[token] - max(logprobs.values())) for token in tokens if token is not None])
    if not np.isfinite(weights).all() or not weights.sum() > 0:
        return NoAnswer("the log-probabilities of the choices are not finite")
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _first_token(text: str, choices: Sequence[str], logprobs: Mapping[str, float]) -> str | None:
    """The token that is the whole choice, or else its longest prefix (of 2 characters or more) that no other shares."""
    whole = [token for token in logprobs if token.strip() == text.strip()]
    if whole:
        return min(whole, key=len)
    others = [choice.strip() for choice in choices if choice != text]
    prefixes = [
        token
        for token in logprobs
        if len(prefix := token.strip()) > 1
        and text.strip().startswith(prefix)
        and not any(other.startswith(prefix) for other in others)
    ]
    return max(prefixes, key=lambda token: (len(token.strip()), -len(token)), default=None)


def error_message(body: str) -> str:
    """The message in an error response: of its JSON, or else the body."""
    try:
        content = json.loads(body)
        content = content.get("error") or content
        return str(content if isinstance(content, str) else content.get("message") or content.get("detail") or content)
    except (ValueError, AttributeError):
        return body


def shorten(text: str) -> str:
    """The text in one line of limited length."""
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."
