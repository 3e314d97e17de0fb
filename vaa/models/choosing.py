"""Answers in numbers: how likely a model is to give each of some answers, read where its answer begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaa.models.families import Seen
from vaa.models.local import Local
from vaa.types import Floats, Question, VaaError

Ids = list[int]


def choose(held: Local, questions: Sequence[Question], seen: Seen) -> list[Floats]:
    """The probabilities of each question's choices, shape (choices,); all are asked about the same frames, `seen` once.

    The frames are encoded once, and what all questions begin with is read once. Where each choice is one token and they
    differ: the softmax over the scores of these tokens; else over the likelihoods of the whole choices.
    """
    import torch

    with torch.inference_mode():
        texts = [held.read(question, seen.tokens) for question in questions]
        asked = [_ids(held, text) for text in texts]
        ends = [_ends(held, *row) for row in zip(texts, asked, questions, strict=True)]
        features = held.model.get_image_features(**seen.inputs, return_dict=True) if seen.inputs else None
        if features is None or _shared(asked) > _last_visual(held, asked[0]):
            return _read(held, seen, features, asked, ends)
        rows = zip(asked, ends, strict=True)  # the questions differ before the last frame: read each from its start
        return [_read(held, seen, features, [ids], [end])[0] for ids, end in rows]


def _read(held: Local, seen: Seen, features: Any, asked: Sequence[Ids], ends: Sequence[list[Ids]]) -> list[Floats]:
    """Read what is shared, then all the rest side by side: a row a question, or a row a choice of several tokens."""
    import torch

    shared = _shared(asked)
    rows = [ids[shared:] + end[:-1] for ids, own in zip(asked, ends, strict=True) for end in _rows(own)]
    past = _past(held, seen, features, asked[0][:shared])
    past.batch_repeat_interleave(len(rows))
    longest = max(len(row) for row in rows)
    padded = [row + [0] * (longest - len(row)) for row in rows]  # on the right, where nothing looks back at it
    scores = held.model(input_ids=_tensor(held, padded), past_key_values=past, use_cache=True).logits
    found, row = [], 0
    for ids, own in zip(asked, ends, strict=True):
        first = len(ids) - shared - 1
        if len(_rows(own)) == 1:
            total = scores[row, first, [end[0] for end in own]].double()
        else:
            said = [scores[row + k, first : first + len(end)].double().log_softmax(-1) for k, end in enumerate(own)]
            total = torch.stack([s[range(len(end)), end].sum() for s, end in zip(said, own, strict=True)])
        found.append(np.asarray(total.softmax(-1).cpu().numpy()))
        row += len(_rows(own))
    return found


def _rows(ends: list[Ids]) -> list[Ids]:
    """The continuations that have to be read: one will do where each is one token, and they differ."""
    single = all(len(end) == 1 for end in ends) and len({end[0] for end in ends}) == len(ends)
    return ends[:1] if single else ends


def _past(held: Local, seen: Seen, features: Any, ids: Ids) -> Any:
    """The cache of keys and values of what is shared."""
    if hasattr(held.model.model, "rope_deltas"):
        held.model.model.rope_deltas = None  # Qwen remembers how far the last frames moved the positions
    if not ids:
        from transformers import DynamicCache

        return DynamicCache(config=held.model.config.get_text_config())
    given = _tensor(held, [ids])
    visual: dict[str, Any] = {"mm_encoder_outputs": {"image": features}} if features is not None else {}
    if visual and held.typed(given):
        visual |= {**held.typed(given), "image_grid_thw": seen.inputs["image_grid_thw"]}
    return held.model.model(input_ids=given, use_cache=True, **visual).past_key_values


def _ids(held: Local, text: str) -> Ids:
    return list(held.tokenizer(text, add_special_tokens=False)["input_ids"])


def _ends(held: Local, text: str, ids: Ids, question: Question) -> list[Ids]:
    """Each choice as tokens after the text; where one begins another, the end of the answer counts as a token too.

    Raises:
        VaaError: a choice is empty.
    """
    ends = []
    for choice in question.choices:
        whole = _ids(held, text + choice)
        ends.append(whole[len(ids) :] if whole[: len(ids)] == ids else _ids(held, choice))
    if not all(ends):
        raise VaaError(f"The {question.purpose} question has an empty choice among {list(question.choices)}.")
    begun = any(a is not b and b[: len(a)] == a for a in ends for b in ends)
    return [[*end, held.tokenizer.eos_token_id] for end in ends] if begun else ends


def _shared(asked: Sequence[Ids]) -> int:
    """How many tokens all begin with; each has at least one more."""
    length = min(len(ids) for ids in asked) - 1
    first = asked[0]
    return next((k for k in range(length) if any(ids[k] != first[k] for ids in asked)), length)


def _last_visual(held: Local, ids: Ids) -> int:
    assert held.eye is not None  # noqa: S101, there are features
    return max(k for k, token in enumerate(ids) if token == held.eye.config.image_token_id)


def _tensor(held: Local, rows: Sequence[Ids]) -> Any:
    import torch

    return torch.tensor(rows, device=held.model.device)
