"""What a server that speaks OpenAI's protocol is sent, and what is read in what it sends back."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vaa.errors import VaaError
from vaa.prompts.template import IMAGE, truncate_answer
from vaa.types import ChatQuery, ChooseQuery, Floats, NoAnswer, Pixels

_FORMAT = re.compile(r"png|jpeg([1-9]\d?|100)")
_TOP = 20  # as many alternatives as the protocol allows
_SHOWN = 300  # characters of a server's own words that a message repeats
NO_LOGPROBS = "This server gives no log-probabilities, so it cannot weigh choices: use one that does, such as vLLM."


class GarbledError(Exception):
    """What came back is no chat completion."""


def check_format(image_format: str) -> None:
    """Refuse what is neither `png` nor `jpegQUALITY`.

    Raises:
        VaaError: it is not.
    """
    if not _FORMAT.fullmatch(image_format):
        raise VaaError(f"image_format={image_format}: choose png, or jpeg with its quality of 1 to 100, as in jpeg90.")


def data_url(frame: Pixels, image_format: str, max_side: int | None) -> str:
    """A frame (h, w, 3) as a data URL, shrunk so that neither side is longer than `max_side` pixels."""
    image, buffer = Image.fromarray(frame), io.BytesIO()
    if max_side is not None:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    kind, quality = image_format[:4].rstrip("0123456789"), image_format.removeprefix("jpeg")
    image.save(buffer, kind, **({} if kind == "png" else {"quality": int(quality)}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def messages(query: ChatQuery, images: Sequence[str]) -> list[dict[str, Any]]:
    """The system's words, if any, and the user's: each image at its mark, or all before a text without marks.

    Raises:
        VaaError: the text marks another number of images than there are.
    """
    *marked, last = query.text.split(IMAGE)
    if len(marked) not in (0, len(images)):
        raise VaaError(f"The {query.purpose} prompt marks {len(marked)} images for {len(images)} frames.")
    parts: list[dict[str, Any]] = []
    for before, image in zip(marked or [""] * len(images), images, strict=True):
        parts += [{"type": "text", "text": before}] if before else []
        parts.append({"type": "image_url", "image_url": {"url": image}})
    parts += [{"type": "text", "text": last}] if last else []
    system = [{"role": "system", "content": query.system}] if query.system else []
    return [*system, {"role": "user", "content": parts if images else query.text}]


def asked(query: ChatQuery, sampling: Mapping[str, Any], limit: str) -> dict[str, Any]:
    """The request's fields that say how to answer; those of `sampling` that are None, and no limit, are left out.

    Choices are weighed at temperature 1, the one at which no server rescales its log-probabilities.
    """
    if isinstance(query, ChooseQuery):
        return {limit: 1, "logprobs": True, "top_logprobs": _TOP, "temperature": 1.0, "top_p": 1.0}
    given = {name: value for name, value in sampling.items() if value is not None}
    return given | ({limit: query.max_new_tokens} if query.max_new_tokens else {})


def parsed(text: str) -> dict[str, Any]:
    """A chat completion as JSON.

    Raises:
        GarbledError: it is none.
    """
    try:
        body = json.loads(text)
        if isinstance(body["choices"][0]["message"], dict):
            return dict(body)
    except (ValueError, LookupError, TypeError):
        pass
    raise GarbledError(f"not a chat completion: {brief(text)!r}")


def read(completion: Mapping[str, Any], query: ChatQuery) -> str | Floats | NoAnswer:
    """The text of a completion, or the probabilities of the question's choices; a refusal and an empty text say so.

    Raises:
        VaaError: choices were asked about, and the server gives no log-probabilities.
    """
    choice = completion["choices"][0]
    message, ended = choice["message"], choice.get("finish_reason")
    if message.get("refusal"):
        return NoAnswer(f"the model refused: {brief(str(message['refusal']))}")
    if ended == "content_filter":
        return NoAnswer("the server's content filter stopped the answer")
    if isinstance(query, ChooseQuery):
        return probabilities(choice, query.choices)
    text = message.get("content")
    if isinstance(text, str) and text.strip():
        return truncate_answer(query, text)
    why = f": all {query.max_new_tokens or ''} tokens went before the text, maybe on thinking".replace("  ", " ")
    return NoAnswer(f"the answer is empty (finish_reason {ended}{why if ended == 'length' else ''})")


def was_cut(completion: Mapping[str, Any]) -> bool:
    """Whether the answer ended because it ran out of tokens."""
    return bool(completion["choices"][0].get("finish_reason") == "length")


def probabilities(choice: Mapping[str, Any], choices: Sequence[str]) -> Floats | NoAnswer:
    """Softmax over the choices' first tokens, shape (choices,); Unanswered where one of them is not among the top.

    Raises:
        VaaError: the server gives no log-probabilities.
    """
    try:
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        found = {str(entry["token"]): float(entry["logprob"]) for entry in top}
    except (LookupError, TypeError, ValueError):
        found = {}
    if not found:
        raise VaaError(NO_LOGPROBS)
    tokens = [_first_token(wanted, choices, found) for wanted in choices]
    for wanted, token in zip(choices, tokens, strict=True):
        if token is None:
            said = ", ".join(map(repr, list(found)[:5]))
            return NoAnswer(f"no token of its own for the choice {wanted!r} among the {len(found)} likeliest: {said}")
    weights = np.array([math.exp(found[token] - max(found.values())) for token in tokens if token is not None])
    if not np.isfinite(weights).all() or not weights.sum() > 0:
        return NoAnswer("the log-probabilities of the choices are not finite")
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _first_token(wanted: str, choices: Sequence[str], found: Mapping[str, float]) -> str | None:
    """The token that is the choice, or else its longest beginning (of two characters or more) that begins no other."""
    whole = [token for token in found if token.strip() == wanted.strip()]
    if whole:
        return min(whole, key=len)
    others = [choice.strip() for choice in choices if choice != wanted]
    begun = [
        token
        for token in found
        if len(start := token.strip()) > 1
        and wanted.strip().startswith(start)
        and not any(other.startswith(start) for other in others)
    ]
    return max(begun, key=lambda token: (len(token.strip()), -len(token)), default=None)


def complaint(text: str) -> str:
    """What a server says is wrong: the message of an error in JSON, or else the text itself."""
    try:
        told = json.loads(text)
        told = told.get("error") or told
        return str(told if isinstance(told, str) else told.get("message") or told.get("detail") or told)
    except (ValueError, AttributeError):
        return text


def brief(text: str) -> str:
    """On one line, and not longer than a message can bear."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
