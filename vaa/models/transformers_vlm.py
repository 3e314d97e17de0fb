"""Any image-text checkpoint of the InternVL family that transformers knows natively, run here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vaa import video
from vaa.models import checkpoint, internvl2
from vaa.prompt import IMAGE
from vaa.types import Pixels, Question, Unanswered, VaaError, VideoError


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    processor: Any
    tokens_per_image: int


@dataclass(frozen=True)
class TransformersVLM:
    """A frozen VLM, asked greedily in left-padded batches.

    `dtype`: float32, bfloat16 or float16; `quantization`: none, int8, nf4 or fp4 (bitsandbytes); `device_map` as
    accelerate takes it ("auto" spreads over all GPUs, or the CPU); `attention`: an implementation of transformers.
    """

    checkpoint: str
    revision: str | None
    dtype: str
    quantization: str
    device_map: str
    attention: str
    batch_size: int
    reader: str

    @property
    def identity(self) -> str:
        """Checkpoint, revision and precision; neither batch size nor device."""
        return f"{checkpoint.identity(self.checkpoint, self.revision)} {self.dtype} {self.quantization} greedy"

    def answer(self, questions: Sequence[Question]) -> Iterator[str | Unanswered]:
        """Decode, ask and yield in order; a question whose frames cannot be decoded is Unanswered, the others go on."""
        for first in range(0, len(questions), self.batch_size):
            batch = questions[first : first + self.batch_size]
            seen = [self._frames(question) for question in batch]
            ready = [(q, f) for q, f in zip(batch, seen, strict=True) if not isinstance(f, Unanswered)]
            answers = iter(self._generate([q for q, _ in ready], [f for _, f in ready]) if ready else [])
            for frames in seen:
                yield frames if isinstance(frames, Unanswered) else next(answers)

    def release(self) -> None:
        """Forget the weights."""
        if _loaded.pop(self, None):
            checkpoint.free()

    def _frames(self, question: Question) -> list[Pixels] | Unanswered:
        try:
            return list(video.frames(question.video, question.frames, self.reader)) if question.frames else []
        except VideoError as error:
            return Unanswered(str(error))

    def _generate(self, questions: Sequence[Question], frames: Sequence[list[Pixels]]) -> list[str]:
        import torch

        held = self._load()
        texts = [chat(held.tokenizer, question, held.tokens_per_image) for question in questions]
        inputs = held.tokenizer(
            texts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt"
        ).to(held.model.device)
        inputs.pop("token_type_ids", None)
        images = [frame for shown in frames for frame in shown]
        if images:
            pixels = held.processor(images=images, crop_to_patches=False, return_tensors="pt")["pixel_values"]
            inputs["pixel_values"] = pixels.to(held.model.device, held.model.dtype)
        with torch.inference_mode():
            ids = held.model.generate(
                **inputs, do_sample=False, max_new_tokens=max(question.max_new_tokens for question in questions)
            )
        new = ids[:, inputs["input_ids"].shape[1] :]
        said = [row[: question.max_new_tokens] for question, row in zip(questions, new, strict=True)]
        return [str(text) for text in held.tokenizer.batch_decode(said, skip_special_tokens=True)]

    def _load(self) -> _Loaded:
        if self not in _loaded:
            from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

            options = checkpoint.placement(self.device_map, self.dtype, self.quantization)
            if internvl2.is_original(self.checkpoint, self.revision):
                held = internvl2.load(self.checkpoint, self.revision, self.attention, **options)
                _loaded[self] = _Loaded(*held, tokens_per_image(held[0].config))
                return _loaded[self]
            tokenizer = checkpoint.load(AutoTokenizer, self.checkpoint, self.revision)
            processor = checkpoint.load(AutoImageProcessor, self.checkpoint, self.revision)
            model = checkpoint.load(
                AutoModelForImageTextToText,
                self.checkpoint,
                self.revision,
                attn_implementation=self.attention,
                **options,
            ).eval()
            model.generation_config.pad_token_id = tokenizer.pad_token_id
            _loaded[self] = _Loaded(model, tokenizer, processor, tokens_per_image(model.config))
        return _loaded[self]


_loaded: dict[TransformersVLM, _Loaded] = {}


def tokens_per_image(config: Any) -> int:
    """Visual tokens of one tile after pixel shuffle.

    Raises:
        VaaError: the checkpoint is of a family whose images are not tiles of a fixed number of tokens.
    """
    vision, ratio = getattr(config, "vision_config", None), getattr(config, "downsample_ratio", None)
    if vision is None or ratio is None:
        raise VaaError(f"This backend shows frames to InternVL checkpoints; '{config.model_type}' is not one.")
    (height, width), (patch_height, patch_width) = (_pair(vision.image_size), _pair(vision.patch_size))
    return int((height // patch_height) * (width // patch_width) * ratio**2)


def chat(tokenizer: Any, question: Question, image_tokens: int) -> str:
    """The whole text the model reads: the chat template round the prompt, each `<image>` as its visual tokens.

    Raises:
        VaaError: the text marks another number of images than the question has frames, or there is no chat template.
    """
    marks = question.text.count(IMAGE)
    if marks not in (0, len(question.frames)):
        raise VaaError(f"The {question.purpose} prompt marks {marks} images for {len(question.frames)} frames.")
    text = question.text if marks else IMAGE * len(question.frames) + question.text
    if IMAGE in text:
        image = tokenizer.start_image_token + tokenizer.context_image_token * image_tokens + tokenizer.end_image_token
        text = text.replace(IMAGE, image)
    messages = [{"role": "user", "content": text}]
    if question.system:
        messages.insert(0, {"role": "system", "content": question.system})
    if not tokenizer.chat_template:
        raise VaaError(f"The tokenizer of '{tokenizer.name_or_path}' has no chat template.")
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _pair(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
