"""The probability that a model answers with each of some given choices, computed from its logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from vaa.errors import ConfigError
from vaa.models.transformers.families import VisionInputs
from vaa.models.transformers.kv_cache import (
    Ids,
    TokenizedPrompt,
    cache_argument,
    group_by_length,
    prefill,
    rope_deltas,
    set_rope_deltas,
)
from vaa.models.transformers.loaded_model import LoadedModel
from vaa.models.transformers.packed_choices import can_pack, choose_packed, shared_length
from vaa.models.transformers.vision_features import VisionFeatures, encode_frames
from vaa.types import ChatQuery, ChooseQuery, Floats


@dataclass(frozen=True, slots=True)
class FrameKey:
    """Queries with equal keys share decoding and vision encoding."""

    path: Path
    frames: tuple[int, ...]


def frame_key(query: ChatQuery) -> FrameKey | None:
    """The key of a query's frames; None without frames."""
    return FrameKey(query.video.path, query.frames) if query.frames else None


@dataclass(frozen=True, kw_only=True)
class _TokenizedQuery:
    """A query: its index in the batch, its prompt, and each choice as the tokens that would follow."""

    index: int
    ids: Ids
    choices: Sequence[Ids]

    @property
    def single_tokens(self) -> bool:
        """Whether each choice is a token of its own: then the scores after the prompt are enough."""
        return all(len(choice) == 1 for choice in self.choices) and len({c[0] for c in self.choices}) == len(
            self.choices
        )

    def continuations(self, shared: int) -> list[Ids]:
        """What has to be processed after the first `shared` tokens."""
        choices = self.choices[:1] if self.single_tokens else self.choices
        return [self.ids[shared:] + choice[:-1] for choice in choices]


@dataclass(frozen=True, kw_only=True)
class _SharedPrefix:
    """Queries about the same frames, and the beginning that they have in common."""

    prefix: TokenizedPrompt
    queries: Sequence[_TokenizedQuery]

    @property
    def length(self) -> int:
        """Tokens of the prefix."""
        return len(self.prefix.ids)

    @property
    def cached_tokens(self) -> int:
        """Tokens in the cache of all continuations."""
        return self.length * sum(len(query.continuations(self.length)) for query in self.queries)


def choose(loaded: LoadedModel, queries: Sequence[ChooseQuery], inputs: VisionInputs) -> list[Floats]:
    """The probabilities of each query's choices, shape (choices,); `inputs` has the frames of equal keys once.

    Frames are encoded once, and the beginning that all queries about them share is processed once. If each choice is
    a token of its own, the result is the softmax of these tokens' scores; else of the choices' log-likelihoods.
    """
    import torch

    results: dict[int, Floats] = {}
    with torch.inference_mode():
        if can_pack(loaded):
            tokenized = [_tokenize(loaded, query, index, ()) for index, query in enumerate(queries)]
            if all(query.single_tokens for query in tokenized):
                first_tokens = [[choice[0] for choice in query.choices] for query in tokenized]
                return choose_packed(loaded, [query.ids for query in tokenized], first_tokens)
        prefixes = sorted(_shared_prefixes(loaded, queries, inputs), key=lambda prefix: prefix.length)
        features = encode_frames(loaded.model, inputs) if inputs.tensors else None
        for _, equal in groupby(prefixes, key=lambda prefix: prefix.length):  # equal lengths need no padding
            group = list(equal)
            for part in group_by_length([prefix.cached_tokens for prefix in group], loaded.model.device):
                results |= _probabilities(loaded, [group[k] for k in part], features)
    return [results[index] for index in range(len(queries))]


def _shared_prefixes(
    loaded: LoadedModel, queries: Sequence[ChooseQuery], inputs: VisionInputs
) -> Iterator[_SharedPrefix]:
    """Group queries about the same frames; each is alone if their texts differ before the last frame."""
    by_frames: dict[FrameKey | None, list[int]] = {}
    for index, query in enumerate(queries):
        by_frames.setdefault(frame_key(query), []).append(index)
    first = 0
    for indices in by_frames.values():
        frames = range(first, first + len(queries[indices[0]].frames))
        first = frames.stop
        group = [_tokenize(loaded, queries[k], k, [inputs.tokens[frame] for frame in frames]) for k in indices]
        shared = shared_length([query.ids for query in group])
        together = not frames or shared > _last_visual_token(loaded, group[0].ids)
        for part in [group] if together else [[query] for query in group]:
            prefix = part[0].ids[: shared if len(part) > 1 else -1]
            yield _SharedPrefix(prefix=TokenizedPrompt(prefix, frames), queries=part)


def _probabilities(
    loaded: LoadedModel, prefixes: Sequence[_SharedPrefix], features: VisionFeatures | None
) -> Mapping[int, Floats]:
    """Results by query index, for prefixes of equal length: prefill these, then process all continuations at once."""
    import torch

    cache = prefill(loaded, [prefix.prefix for prefix in prefixes], features)
    queries = [(row, query) for row, prefix in enumerate(prefixes) for query in prefix.queries]
    shared = prefixes[0].length
    continuations = [(row, ids) for row, query in queries for ids in query.continuations(shared)]
    _repeat_rows(loaded, cache, [row for row, _ in continuations], len(prefixes))
    longest = max(len(ids) for _, ids in continuations)
    padded = [ids + [0] * (longest - len(ids)) for _, ids in continuations]  # on the right: nothing attends to it
    batch = torch.tensor(padded, device=loaded.model.device)
    logits = iter(loaded.model(input_ids=batch, use_cache=True, **cache_argument(loaded.model, cache)).logits)
    results = {}
    for _, query in queries:
        first = len(query.ids) - shared - 1
        if query.single_tokens:
            scores = next(logits)[first, [choice[0] for choice in query.choices]].double()
        else:
            logs = [next(logits)[first : first + len(c)].double().log_softmax(-1) for c in query.choices]
            scores = torch.stack([log[range(len(c)), c].sum() for log, c in zip(logs, query.choices, strict=True)])
        results[query.index] = np.asarray(scores.softmax(-1).cpu().numpy())
    return results


def _repeat_rows(loaded: LoadedModel, cache: Any, rows: list[int], prefixes: int) -> None:
    """Give each continuation the cache of its prefix."""
    import torch

    if rows == list(range(prefixes)):
        return
    cache.batch_select_indices(torch.tensor(rows))  # on the CPU, since layers may be on several GPUs
    deltas = rope_deltas(loaded)
    set_rope_deltas(loaded, deltas if deltas is None else deltas[rows])


def _tokenize(loaded: LoadedModel, query: ChooseQuery, index: int, tokens: Sequence[int]) -> _TokenizedQuery:
    ids, choices = tokenize_choices(loaded.tokenizer, loaded.chat_text(query, tokens), query)
    return _TokenizedQuery(index=index, ids=ids, choices=choices)


def tokenize_choices(tokenizer: Any, text: str, query: ChooseQuery) -> tuple[Ids, list[Ids]]:
    """The token ids of a query's text, and of each choice after it.

    Where a choice begins another one, the end of the answer is part of both.

    Raises:
        ConfigError: a choice is empty.
    """

    def token_ids(text: str) -> Ids:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    ids = token_ids(text)
    choices = []
    for choice in query.choices:
        whole = token_ids(text + choice)
        choices.append(whole[len(ids) :] if whole[: len(ids)] == ids else token_ids(choice))
    if not all(choices):
        raise ConfigError(f"The {query.purpose} query has an empty choice among {list(query.choices)}.")
    if any(a is not b and b[: len(a)] == a for a in choices for b in choices):
        choices = [[*choice, tokenizer.eos_token_id] for choice in choices]
    return ids, choices


def _last_visual_token(loaded: LoadedModel, ids: Ids) -> int:
    assert loaded.frame_processor is not None  # noqa: S101, the query has frames
    return max(k for k, token in enumerate(ids) if token == loaded.frame_processor.config.image_token_id)
