"""A checkpoint in this process's memory, and what it reads and sees of a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vaa.errors import VaaError
from vaa.models.transformers.families import Family, VisionInputs
from vaa.models.transformers.memory import AdaptiveBatchSize
from vaa.prompts.template import IMAGE
from vaa.types import ChatQuery, Pixels


@dataclass(frozen=True, eq=False)
class FrameProcessor:
    """How a loaded VLM is shown frames; `max_pixels` of a frame, with `timestamps` each frame's time goes before it.

    `resize` is who makes frames smaller.
    """

    family: Family
    config: Any
    processor: Any
    max_pixels: int | None
    timestamps: bool
    resize: str

    def __post_init__(self) -> None:
        if self.timestamps and self.family.stamp is None:
            raise VaaError(f"timestamps=true: {self.config.model_type} was not trained to read the time of a frame.")

    def see(self, frames: Sequence[Pixels]) -> VisionInputs:
        """Frames as the model takes them."""
        return self.family.see(self.config, self.processor, frames, self.max_pixels, self.resize)

    def marks(self, tokenizer: Any, query: ChatQuery, tokens: Sequence[int]) -> list[str]:
        """The text in the place of each of the question's frames."""
        marks = [self.family.mark(tokenizer, self.config, count) for count in tokens]
        if not self.timestamps:
            return marks
        times = [frame / query.video.fps for frame in query.frames]
        return [str(self.family.stamp).format(time) + mark for time, mark in zip(times, marks, strict=True)]


@dataclass(eq=False)
class LoadedModel:
    """A model in memory; `room` is for how many questions at once: answered in words, and by choices."""

    model: Any
    tokenizer: Any
    eye: FrameProcessor | None
    batch_size: int
    room: dict[bool, AdaptiveBatchSize] = field(init=False)

    def __post_init__(self) -> None:
        self.room = {False: AdaptiveBatchSize(self.batch_size), True: AdaptiveBatchSize(self.batch_size)}

    def place(self, seen: VisionInputs) -> VisionInputs:
        """Frames as the model takes them, beside it."""
        return VisionInputs({name: self._placed(value) for name, value in seen.inputs.items()}, seen.tokens)

    def read(self, query: ChatQuery, tokens: Sequence[int]) -> str:
        """The whole text the model reads, given the number of visual tokens of each of the question's frames."""
        if self.eye is None:
            return write(self.tokenizer, query, [])
        family, marks = self.eye.family, self.eye.marks(self.tokenizer, query, tokens)
        return write(self.tokenizer, query, marks, family.between, family.after)

    def typed(self, ids: Any) -> dict[str, Any]:
        """Which of the tokens are visual, for the families that have to be told."""
        if self.eye is None or not self.eye.family.typed:
            return {}
        return {"mm_token_type_ids": (ids == self.eye.config.image_token_id).int()}

    def _placed(self, value: Any) -> Any:
        value = value.to(self.model.device)
        return value.to(self.model.dtype) if value.is_floating_point() else value


def write(tokenizer: Any, query: ChatQuery, marks: Sequence[str], between: str = "", after: str = "") -> str:
    """The whole text a model reads: the chat template round the prompt, `marks` in the places of its frames.

    Raises:
        VaaError: the text marks another number of images than there are frames, or there is no usable chat template.
    """
    pieces = query.text.split(IMAGE)
    if len(pieces) - 1 not in (0, len(query.frames)):
        raise VaaError(f"The {query.purpose} prompt marks {len(pieces) - 1} images for {len(query.frames)} frames.")
    shown = between.join(marks) + after if marks else ""
    text = shown + pieces[0] if len(pieces) == 1 else _woven(pieces, marks)
    if not tokenizer.chat_template:
        raise VaaError(f"The tokenizer of '{tokenizer.name_or_path}' has no chat template.")
    said = [("system", query.system)] if query.system else []
    said.append(("user", text))
    for parts in (False, True):  # some templates take a message as text, some as a list of parts, most as either
        written = _written(tokenizer, said, parts)
        if all(content.strip() in written for _, content in said):
            return written
    raise VaaError(
        f"The chat template of '{tokenizer.name_or_path}' leaves out what is asked, or takes no system text."
    )


def _written(tokenizer: Any, said: Sequence[tuple[str, str]], parts: bool) -> str:
    """A chat by the tokenizer's template, "" where that refuses it."""
    from jinja2 import TemplateError

    chat = [{"role": role, "content": [{"type": "text", "text": text}] if parts else text} for role, text in said]
    options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    try:
        return str(tokenizer.apply_chat_template(chat, **options))
    except (TemplateError, TypeError):  # a text where it wants parts, or a role that it does not know
        return ""


def _woven(pieces: Sequence[str], marks: Sequence[str]) -> str:
    return "".join(piece + mark for piece, mark in zip(pieces, [*marks, ""], strict=True))
