"""Answers in numbers: how likely a model is to give each of some answers, read where its answer begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from vaa.errors import VaaError
from vaa.models.transformers.families import VisionInputs
from vaa.models.transformers.kv_cache import named
from vaa.models.transformers.loaded import LoadedModel
from vaa.models.transformers.prefill import Ids, TokenizedPrompt, move, moved, portions, read
from vaa.models.transformers.vision_features import VisionFeatures, encode_frames
from vaa.types import ChatQuery, ChooseQuery, Floats


@dataclass(frozen=True)
class _ChoiceRow:
    """A question as tokens, and each of its choices as the tokens that would follow."""

    place: int
    ids: Ids
    ends: Sequence[Ids]

    @property
    def single(self) -> bool:
        """Whether each choice is one token, and they differ: then one continuation tells them all."""
        return all(len(end) == 1 for end in self.ends) and len({end[0] for end in self.ends}) == len(self.ends)

    def rests(self, shared: int) -> list[Ids]:
        """The continuations that have to be read behind the first `shared` tokens."""
        return [self.ids[shared:] + end[:-1] for end in (self.ends[:1] if self.single else self.ends)]


@dataclass(frozen=True)
class _SharedPrefix:
    """Questions that begin alike, about the same frames."""

    begin: TokenizedPrompt
    rows: Sequence[_ChoiceRow]

    @property
    def tokens(self) -> int:
        """How many are kept of it."""
        return len(self.begin.ids) * sum(len(row.rests(len(self.begin.ids))) for row in self.rows)


def choose(held: LoadedModel, queries: Sequence[ChooseQuery], seen: VisionInputs) -> list[Floats]:
    """The probabilities of each question's choices, shape (choices,); frames asked about several times are `seen` once.

    The frames are encoded once, and what all questions about them begin with is read once. Where each choice is one
    token and they differ: the softmax over the scores of these tokens; else over the likelihoods of the whole choices.
    """
    import torch

    found: dict[int, Floats] = {}
    with torch.inference_mode():
        groups = sorted(_groups(held, queries, seen), key=lambda group: len(group.begin.ids))
        features = encode_frames(held.model, seen) if seen.inputs else None
        for _, alike in groupby(groups, key=lambda group: len(group.begin.ids)):  # so that nothing has to be padded
            same = list(alike)
            for portion in portions([group.tokens for group in same], held.model.device):
                found |= _read(held, [same[k] for k in portion], features)
    return [found[place] for place in range(len(queries))]


def frame_key(query: ChatQuery) -> object:
    """What it is asked about: questions of the same frames share them."""
    return query.frames and (query.video.path, query.frames)


def _groups(held: LoadedModel, queries: Sequence[ChooseQuery], seen: VisionInputs) -> Iterator[_SharedPrefix]:
    """Those about the same frames together, each by itself where they differ before the last frame."""
    about: dict[object, list[int]] = {}
    for place, query in enumerate(queries):
        about.setdefault(frame_key(query), []).append(place)
    first = 0
    for places in about.values():
        frames = range(first, first + len(queries[places[0]].frames))
        first = frames.stop
        texts = [held.read(queries[place], [seen.tokens[frame] for frame in frames]) for place in places]
        asked = [_ids(held, text) for text in texts]
        ends = [_ends(held, text, ids, queries[place]) for place, text, ids in zip(places, texts, asked, strict=True)]
        rows = [_ChoiceRow(*row) for row in zip(places, asked, ends, strict=True)]
        shared = _shared(asked)
        parts = [rows] if not frames or shared > _last_visual(held, asked[0]) else [[row] for row in rows]
        for part in parts:
            begin = part[0].ids[: shared if len(part) > 1 else -1]
            yield _SharedPrefix(TokenizedPrompt(begin, frames), part)


def _read(held: LoadedModel, groups: Sequence[_SharedPrefix], features: VisionFeatures | None) -> dict[int, Floats]:
    """By place, of groups whose beginnings are equally long: read these, then all the rest side by side."""
    import torch

    past = read(held, [group.begin for group in groups], features)
    rows = [(k, row) for k, group in enumerate(groups) for row in group.rows]
    shared = len(groups[0].begin.ids)
    rests = [(k, rest) for k, row in rows for rest in row.rests(shared)]
    _spread(held, past, [k for k, _ in rests], len(groups))
    longest = max(len(rest) for _, rest in rests)
    padded = [rest + [0] * (longest - len(rest)) for _, rest in rests]  # on the right, where nothing looks back at it
    ids = torch.tensor(padded, device=held.model.device)
    scores = iter(held.model(input_ids=ids, use_cache=True, **named(held.model, past)).logits)
    found = {}
    for _, row in rows:
        first = len(row.ids) - shared - 1
        if row.single:
            total = next(scores)[first, [end[0] for end in row.ends]].double()
        else:
            said = [next(scores)[first : first + len(end)].double().log_softmax(-1) for end in row.ends]
            total = torch.stack([s[range(len(end)), end].sum() for s, end in zip(said, row.ends, strict=True)])
        found[row.place] = np.asarray(total.softmax(-1).cpu().numpy())
    return found


def _spread(held: LoadedModel, past: Any, rows: list[int], groups: int) -> None:
    """Give each continuation what is kept of its beginning."""
    import torch

    if rows == list(range(groups)):
        return
    past.batch_select_indices(torch.tensor(rows))  # on the CPU: layers may lie on several GPUs
    turns = moved(held)
    move(held, turns if turns is None else turns[rows])


def _ids(held: LoadedModel, text: str) -> Ids:
    return list(held.tokenizer(text, add_special_tokens=False)["input_ids"])


def _ends(held: LoadedModel, text: str, ids: Ids, query: ChooseQuery) -> list[Ids]:
    """Each choice as tokens after the text; where one begins another, the end of the answer counts as a token too.

    Raises:
        VaaError: a choice is empty.
    """
    ends = []
    for choice in query.choices:
        whole = _ids(held, text + choice)
        ends.append(whole[len(ids) :] if whole[: len(ids)] == ids else _ids(held, choice))
    if not all(ends):
        raise VaaError(f"The {query.purpose} question has an empty choice among {list(query.choices)}.")
    begun = any(a is not b and b[: len(a)] == a for a in ends for b in ends)
    return [[*end, held.tokenizer.eos_token_id] for end in ends] if begun else ends


def _shared(asked: Sequence[Ids]) -> int:
    """How many tokens all begin with; each has at least one more."""
    length = min(len(ids) for ids in asked) - 1
    first = asked[0]
    return next((k for k in range(length) if any(ids[k] != first[k] for ids in asked)), length)


def _last_visual(held: LoadedModel, ids: Ids) -> int:
    assert held.eye is not None  # noqa: S101, there are features
    return max(k for k, token in enumerate(ids) if token == held.eye.config.image_token_id)
