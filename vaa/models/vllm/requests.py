"""A query as requests to vLLM's engine: one for a text, one for each beginning that choices share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from vaa.generation import GenerationConfig
from vaa.models.choice_tokens import Ids, next_tokens, probabilities
from vaa.models.transformers.choices import tokenize_choices
from vaa.models.transformers.generation import StopCheck, answer_decoder, check_sampling
from vaa.models.transformers.loaded_model import chat_text, check_no_thoughts, continued_text
from vaa.models.vllm.engine import VllmEngine
from vaa.models.vllm.frames import VllmFrames
from vaa.prompts.thoughts import opened_thoughts
from vaa.types import ChatQuery, ChooseQuery, Floats, GenerateQuery, NoAnswer, Pixels


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """A prompt as vLLM takes it, its SamplingParams, and its number among the requests of a task."""

    number: int
    prompt: Mapping[str, Any]
    params: Any


@dataclass(eq=False, kw_only=True)
class VllmModel:
    """A model that vLLM runs; `frames` is None for an LLM, `folder` is a temporary one of its checkpoint.

    Without `chat` the text of a query is continued as it is, without a chat template.
    """

    engine: VllmEngine
    tokenizer: Any
    frames: VllmFrames | None
    folder: Any
    chat: bool = True

    def text(self, query: ChatQuery) -> str:
        """The text of a query, with a mark for each frame."""
        if not self.chat:
            return continued_text(query)
        if self.frames is None:
            return chat_text(self.tokenizer, query, [])
        family = self.frames.processor.family
        return chat_text(self.tokenizer, query, self.frames.texts(self.tokenizer, query), family.separator, family.end)

    def release(self) -> None:
        """End the engine's processes."""
        self.engine.stop()
        if self.folder is not None:
            self.folder.cleanup()


@dataclass(eq=False, kw_only=True)
class Failed:
    """A query without an answer."""

    answer: NoAnswer

    def first(self) -> Iterator[Request]:
        """No request."""
        return iter(())

    def receive(self, number: int, output: Any) -> Iterator[Request]:
        """No output comes."""
        return iter(())


@dataclass(eq=False, kw_only=True)
class Generation:
    """A query whose answer is a text."""

    model: VllmModel
    prompt: Mapping[str, Any]
    params: Any
    stop: StopCheck
    answer: str | None = field(init=False, default=None)
    _ids: list[int] = field(init=False, default_factory=list)

    def first(self) -> Iterator[Request]:
        """One request."""
        yield Request(number=0, prompt=self.prompt, params=self.params)

    def receive(self, number: int, output: Any) -> Iterator[Request]:
        """Collect tokens; the answer is complete when they are, or when they match the stop pattern."""
        new = list(output.outputs[0].token_ids)
        self._ids += new
        decode = answer_decoder(self.model.tokenizer)
        matched = bool(self.stop.pattern) and self.stop.add(decode([new])[0], len(new), lambda: decode([self._ids])[0])
        if matched or output.finished:
            self.answer = self.stop.opened + decode([self._ids])[0]
        return iter(())


@dataclass(eq=False, kw_only=True)
class Choice:
    """A query whose answer is the probabilities of choices: a request for each node of their trie of tokens.

    That of the root comes first, so that the others find the prompt in the cache.
    """

    prompt: Mapping[str, Any]
    choices: Sequence[Sequence[int]]
    answer: Floats | None = field(init=False, default=None)
    _nodes: list[tuple[Ids, list[int]]] = field(init=False)
    _logprobs: dict[Ids, Mapping[int, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._nodes = list(next_tokens(self.choices).items())

    def first(self) -> Iterator[Request]:
        """The request of the root."""
        yield self._request(0)

    def receive(self, number: int, output: Any) -> Iterator[Request]:
        """Take the log-probabilities of a node; after those of the root, the requests of all others."""
        beginning, tokens = self._nodes[number]
        (found,) = output.outputs[0].logprobs
        self._logprobs[beginning] = {token: float(found[token].logprob) for token in tokens}
        if len(self._logprobs) == len(self._nodes):
            self.answer = probabilities(self.choices, self._logprobs)
        if number == 0:
            yield from map(self._request, range(1, len(self._nodes)))

    def _request(self, number: int) -> Request:
        from vllm import SamplingParams

        beginning, tokens = self._nodes[number]
        ids = [*self.prompt["prompt_token_ids"], *beginning]
        params = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=tokens, detokenize=False)
        return Request(number=number, prompt={**self.prompt, "prompt_token_ids": ids}, params=params)


Task = Failed | Generation | Choice
"""A query while it is answered: its first requests, what follows from their outputs, and the answer or None."""


def make_task(model: VllmModel, query: ChatQuery, images: Mapping[str, Pixels], generation: GenerationConfig) -> Task:
    """The task of a query whose frames are `images`, by identity and in order.

    A query that is too long for the model has no answer.
    """
    text = model.text(query)
    if isinstance(query, ChooseQuery):
        check_no_thoughts(model.tokenizer, text)
        ids, choices = tokenize_choices(model.tokenizer, text, query)
        new_tokens = max(map(len, choices))
    else:
        ids, choices = list(model.tokenizer(text, add_special_tokens=False)["input_ids"]), []
        new_tokens = query.max_new_tokens
    length = len(ids) + (model.frames.added_tokens(list(images.values())) if model.frames else 0)
    if length + new_tokens > model.engine.max_length:
        return Failed(
            answer=NoAnswer(
                f"the {query.purpose} query has {length} tokens with its {len(query.frames)} frames, and {new_tokens} "
                f"for its answer: more than the {model.engine.max_length} of the model (vllm.max_length). Show fewer "
                "frames, or set vlm.max_pixels or vlm.max_visual_tokens where the family has them"
            )
        )
    prompt: dict[str, Any] = {"prompt_token_ids": ids}
    if images:
        prompt["multi_modal_data"] = {"image": [Image.fromarray(image) for image in images.values()]}
        prompt["multi_modal_uuids"] = {"image": list(images)}
    if isinstance(query, ChooseQuery):
        return Choice(prompt=prompt, choices=choices)
    settings = query.generation or generation
    check_sampling(settings)
    stop = StopCheck(query.stop_pattern, opened_thoughts(text))
    return Generation(model=model, prompt=prompt, params=_sampling(model, query, settings), stop=stop)


def _sampling(model: VllmModel, query: GenerateQuery, settings: GenerationConfig) -> Any:
    """Greedy or seeded sampling, with the end tokens and the repetition penalty of the checkpoint.

    The seed is made of the setting's and the query, so that an answer does not depend on the other queries.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    config = model.engine.generation_config
    ends = config.get("eos_token_id", model.tokenizer.eos_token_id)
    key = repr((settings.seed, query.system, query.text, query.frames)).encode()
    sampled = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k or 0,
        "seed": int.from_bytes(hashlib.blake2b(key, digest_size=4).digest()),
    }
    return SamplingParams(
        max_tokens=query.max_new_tokens or None,
        stop_token_ids=list(ends) if isinstance(ends, list) else [ends],
        repetition_penalty=config.get("repetition_penalty") or 1.0,
        output_kind=RequestOutputKind.DELTA,
        detokenize=False,  # its text lacks incomplete characters at the end, which the tokenizer's has
        **(sampled if settings.temperature else {"temperature": 0.0}),
    )
