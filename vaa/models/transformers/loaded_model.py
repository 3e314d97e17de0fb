"""A model in memory: its tokenizer, its frame processor, its batch sizes, and the text that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vaa.errors import ConfigError, ModelError
from vaa.models.transformers.families import FrameProcessor, VisionInputs
from vaa.models.transformers.memory import AdaptiveBatchSize
from vaa.prompts.template import IMAGE, split_at_images
from vaa.prompts.thoughts import opened_thoughts
from vaa.types import ChatQuery, ChooseQuery


@dataclass(frozen=True, eq=False)
class Prefix:
    """The beginning of prompts as token ids, and its key-value cache."""

    ids: list[int]
    cache: Any


@dataclass(eq=False, kw_only=True)
class LoadedModel:
    """A model in memory; `frame_processor` is None for an LLM, `batch_size` is the one to begin with.

    Without `chat` the text of a query is continued as it is, without a chat template. `prefix` is the beginning that
    the last packed queries had in common.
    """

    model: Any
    tokenizer: Any
    frame_processor: FrameProcessor | None
    batch_size: int
    chat: bool = True
    prefix: Prefix = field(init=False, default_factory=lambda: Prefix([], None))
    _generate_batch: AdaptiveBatchSize = field(init=False)
    _choose_batch: AdaptiveBatchSize = field(init=False)

    def __post_init__(self) -> None:
        self._generate_batch = AdaptiveBatchSize(self.batch_size)
        self._choose_batch = AdaptiveBatchSize(self.batch_size)

    def batch_size_for(self, query: ChatQuery) -> AdaptiveBatchSize:
        """The batch size of queries of this one's type."""
        return self._choose_batch if isinstance(query, ChooseQuery) else self._generate_batch

    def to_device(self, inputs: VisionInputs) -> VisionInputs:
        """Move frames to the model's device and dtype."""
        tensors = {name: tensor.to(self.model.device) for name, tensor in inputs.tensors.items()}
        tensors = {name: t.to(self.model.dtype) if t.is_floating_point() else t for name, t in tensors.items()}
        return VisionInputs(tensors, inputs.tokens)

    def chat_text(self, query: ChatQuery, tokens: Sequence[int]) -> str:
        """The text that the model is given, with `tokens[k]` visual tokens for the k-th frame.

        Raises:
            ConfigError: the probabilities of choices are queried, and the chat template opens the model's thoughts.
        """
        if not self.chat:
            text = continued_text(query)
        elif self.frame_processor is None:
            text = chat_text(self.tokenizer, query, [])
        else:
            family, marks = self.frame_processor.family, self.frame_processor.frame_texts(self.tokenizer, query, tokens)
            text = chat_text(self.tokenizer, query, marks, family.separator, family.end)
        if isinstance(query, ChooseQuery):
            check_no_thoughts(self.tokenizer, text)
        return text

    def token_types(self, ids: Any) -> dict[str, Any]:
        """Which tokens are visual, as a keyword argument, for the families whose models need it."""
        if self.frame_processor is None or not self.frame_processor.family.needs_token_types:
            return {}
        return {"mm_token_type_ids": (ids == self.frame_processor.config.image_token_id).int()}


def continued_text(query: ChatQuery) -> str:
    """The text of a query for a model that continues it, without a chat template."""
    return "\n\n".join(part for part in (query.system, query.text) if part)


def check_no_thoughts(tokenizer: Any, text: str) -> None:
    """Check that the text of a ChooseQuery does not end inside the model's thoughts.

    Raises:
        ConfigError: it does.
    """
    if opened_thoughts(text):
        raise ConfigError(
            f"'{tokenizer.name_or_path}' thinks before it answers, so that its first token is no choice. Use "
            "a readout that reads texts (readout=written), or a model that does not think."
        )


def chat_text(tokenizer: Any, query: ChatQuery, frame_texts: Sequence[str], separator: str = "", end: str = "") -> str:
    """Apply the chat template to a query, with the text of each frame at its `<image>` mark.

    In a text without marks, the frames come first, `separator` between them and `end` after the last.

    Raises:
        ConfigError: the number of `<image>` marks differs from the number of frames.
        ModelError: the tokenizer has no chat template, or one that drops the user's or the system message.
    """
    parts = split_at_images(query)
    if IMAGE not in query.text and frame_texts:
        parts = ["", *[separator] * (len(frame_texts) - 1), end + parts[-1]]
    text = "".join(part + frame for part, frame in zip(parts, [*frame_texts, ""], strict=True))
    if not tokenizer.chat_template:
        raise ModelError(f"The tokenizer of '{tokenizer.name_or_path}' has no chat template.")
    messages = [("system", query.system)] if query.system else []
    messages.append(("user", text))
    for as_parts in (False, True):  # some templates take a string as content, some a list of parts, most take both
        chat = _apply_template(tokenizer, messages, as_parts)
        if all(content.strip() in chat for _, content in messages):
            return chat
    raise ModelError(
        f"The chat template of '{tokenizer.name_or_path}' drops the user's message or does not support system messages."
    )


def _apply_template(tokenizer: Any, messages: Sequence[tuple[str, str]], as_parts: bool) -> str:
    """Apply the tokenizer's chat template; "" if it refuses the messages."""
    from jinja2 import TemplateError

    chat = [
        {"role": role, "content": [{"type": "text", "text": text}] if as_parts else text} for role, text in messages
    ]
    options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    try:
        return str(tokenizer.apply_chat_template(chat, **options))
    except (TemplateError, TypeError):  # content of the other kind is expected, or a role is not supported
        return ""
