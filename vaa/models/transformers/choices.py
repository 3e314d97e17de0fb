"""Answers in numbers: how likely a model is to give each of some answers, read where its answer begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from vaa.models.families import Seen
from vaa.models.keeping import named
from vaa.models.local import Local
from vaa.models.looking import Looked, looked
from vaa.models.reading import Asked, Ids, move, moved, portions, read
from vaa.types import Floats, Question, VaaError


@dataclass(frozen=True)
class _Row:
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
class _Group:
    """Questions that begin alike, about the same frames."""

    begin: Asked
    rows: Sequence[_Row]

    @property
    def tokens(self) -> int:
        """How many are kept of it."""
        return len(self.begin.ids) * sum(len(row.rests(len(self.begin.ids))) for row in self.rows)


def choose(held: Local, questions: Sequence[Question], seen: Seen) -> list[Floats]:
    """The probabilities of each question's choices, shape (choices,); frames asked about several times are `seen` once.

    The frames are encoded once, and what all questions about them begin with is read once. Where each choice is one
    token and they differ: the softmax over the scores of these tokens; else over the likelihoods of the whole choices.
    """
    import torch

    found: dict[int, Floats] = {}
    with torch.inference_mode():
        groups = sorted(_groups(held, questions, seen), key=lambda group: len(group.begin.ids))
        features = looked(held.model, seen) if seen.inputs else None
        for _, alike in groupby(groups, key=lambda group: len(group.begin.ids)):  # so that nothing has to be padded
            same = list(alike)
            for portion in portions([group.tokens for group in same], held.model.device):
                found |= _read(held, [same[k] for k in portion], features)
    return [found[place] for place in range(len(questions))]


def sight(question: Question) -> object:
    """What it is asked about: questions of the same frames share them."""
    return question.frames and (question.video.path, question.frames)


def _groups(held: Local, questions: Sequence[Question], seen: Seen) -> Iterator[_Group]:
    """Those about the same frames together, each by itself where they differ before the last frame."""
    about: dict[object, list[int]] = {}
    for place, question in enumerate(questions):
        about.setdefault(sight(question), []).append(place)
    first = 0
    for places in about.values():
        frames = range(first, first + len(questions[places[0]].frames))
        first = frames.stop
        texts = [held.read(questions[place], [seen.tokens[frame] for frame in frames]) for place in places]
        asked = [_ids(held, text) for text in texts]
        ends = [_ends(held, text, ids, questions[place]) for place, text, ids in zip(places, texts, asked, strict=True)]
        rows = [_Row(*row) for row in zip(places, asked, ends, strict=True)]
        shared = _shared(asked)
        parts = [rows] if not frames or shared > _last_visual(held, asked[0]) else [[row] for row in rows]
        for part in parts:
            begin = part[0].ids[: shared if len(part) > 1 else -1]
            yield _Group(Asked(begin, frames), part)


def _read(held: Local, groups: Sequence[_Group], features: Looked | None) -> dict[int, Floats]:
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


def _spread(held: Local, past: Any, rows: list[int], groups: int) -> None:
    """Give each continuation what is kept of its beginning."""
    import torch

    if rows == list(range(groups)):
        return
    past.batch_select_indices(torch.tensor(rows))  # on the CPU: layers may lie on several GPUs
    turns = moved(held)
    move(held, turns if turns is None else turns[rows])


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
