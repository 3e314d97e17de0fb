"""Where a GPU is at hand: an InternVL2-8B of random weights in bf16, asked as a run asks and one question at a time."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clips import clip
from benchmarks.queries import singly
from benchmarks.timing import Row, clock
from vaa.models.base import WaitStats
from vaa.models.transformers import batching, loading, prefill
from vaa.models.transformers.families import VisionInputs, family
from vaa.models.transformers.generation import GenerationConfig, settle
from vaa.models.transformers.loaded import FrameProcessor, LoadedModel
from vaa.models.transformers.vision_features import encode_frames
from vaa.stages.window import ConsecutiveWindow
from vaa.tiny import prompts
from vaa.types import Query, Report, Video

VISION = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "patch_size": [14, 14], "image_size": [448, 448], "attention_bias": True, "norm_type": "layer_norm",
}  # fmt: skip
TEXT = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 92553, "max_position_embeddings": 32768,
    "eos_token_id": None, "bos_token_id": None, "pad_token_id": 0, "tie_word_embeddings": False,
}  # fmt: skip
"""InternVL2-8B: InternViT-300M and InternLM2.5-7B, which is a Llama (Chen et al., 2024)."""


@dataclass(frozen=True)
class Setting:
    """A model of this shape on this device, how much it is asked, and the side of the products its rate is held to."""

    device: str
    dtype: str
    vision: Mapping[str, Any]
    text: Mapping[str, Any]
    queries: int
    alone: int
    batch: int
    new_tokens: int
    side: int

    @property
    def name(self) -> str:
        """What rows are about."""
        return f"InternVL2-8B's shape, random weights, {self.dtype}, 8 frames, {self.new_tokens} new tokens"


ALONE = "one question a `generate`, no overlap; seconds a question"
LARGE = Setting("cuda", "bfloat16", VISION, TEXT, 240, 12, 8, 40, 8192)


def rows() -> list[Row]:
    """Without a GPU, that it was not measured."""
    import torch

    if torch.cuda.is_available():
        return measured(LARGE)
    return [Row(f"questions, {LARGE.name}", ALONE, "not measured: no GPU is at hand", ">= 8x", False, [])]


def measured(setting: Setting) -> list[Row]:
    """The three rows of one setting; the first pass over the questions, in which batches grow, does not count."""
    held, asked = made(setting), queries(setting)
    ask = partial(batching.answers, lambda: held, asked, GenerationConfig(0.0, 1.0, 0), "decord", None)
    together = list(ask())
    heard = _Heard()
    logging.getLogger("vaa").addHandler(heard)
    logging.getLogger("vaa").setLevel(logging.INFO)
    ours = [clock(lambda: list(ask())) / len(asked) for _ in range(3)]
    logging.getLogger("vaa").removeHandler(heard)
    few = asked[: setting.alone]
    alone = singly(held, few)
    theirs = [clock(lambda: singly(held, few)) / len(few) for _ in range(3)]
    found = statistics.median(theirs) / statistics.median(ours)
    same = sum(one == other for one, other in zip(together, alone, strict=False))
    size = held.room[False].size
    said = f"{found:.2f}x (batches of {size}; {same} of {len(few)} answers equal, of random weights)"
    waited, share = max(heard.shares), _share(setting, held, asked)
    return [
        Row(f"questions, {setting.name}", ALONE, said, ">= 8x", found >= 8, ours, theirs),
        Row("the same, waiting for pixels", "-", f"{waited:.0%}", "< 5 %", waited < 0.05, []),
        Row("the same, reading prompts", f"products of {setting.side} x {setting.side}",
            f"{share:.0%} of their rate", ">= 50 %", share >= 0.5, []),
    ]  # fmt: skip


def made(setting: Setting) -> LoadedModel:
    """The model, with the tokenizer and the image processor of the built-in one."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, InternVLConfig

    tiny = str(prompts.CHECKPOINTS / "vlm")
    tokenizer = loading.load(AutoTokenizer, tiny, None)
    processor = loading.load(AutoImageProcessor, tiny, None, backend="pil")
    side = setting.vision["image_size"]
    processor.size = {"height": side[0], "width": side[1]}
    image = tokenizer.convert_tokens_to_ids(tokenizer.context_image_token)
    shape = {"vision_config": {**setting.vision}, "text_config": {**setting.text}}
    config = InternVLConfig(**shape, image_token_id=image, tie_word_embeddings=False)
    torch.manual_seed(0)
    with torch.device(setting.device):
        model = AutoModelForImageTextToText.from_config(
            config, dtype=getattr(torch, setting.dtype), attn_implementation="sdpa"
        ).eval()
    settle(model, tokenizer)
    model.generation_config.eos_token_id = None  # every answer has as many tokens
    return LoadedModel(
        model, tokenizer, FrameProcessor(family(config), config, processor, None, False, "pil"), setting.batch
    )


def queries(setting: Setting) -> list[Query]:
    """CoReVAD's question about every second of a film of 320 x 240."""
    path = clip(Path("outputs/benchmarks") / f"key250_{setting.queries}s.mp4", setting.queries, 250)
    video, prompt = Video("v", path, setting.queries * 30, 30.0), prompts.load_prompts()["verdict"]
    return [
        replace(prompt.query(video, segment), max_new_tokens=setting.new_tokens, stop_pattern="")
        for segment in ConsecutiveWindow(length=30, n_frames=8)(Report(video)).segments
    ]


def _share(setting: Setting, held: LoadedModel, asked: Sequence[Query]) -> float:
    """Of the rate of plain matrix products, what frames and prompts are read at: two operations a weight and token.

    Left out of the count: attention's own products, and the last layer, of which only the keys are computed.
    """
    assert held.eye is not None
    batch = tuple(asked[: max(setting.batch, 32)])
    arrays, (tokens, _) = batching.prepare(held.eye, "decord", batch)
    import torch

    seen = held.place(VisionInputs({name: torch.from_numpy(array) for name, array in arrays.items()}, tokens))
    frames = iter(range(len(tokens)))
    about = [[next(frames) for _ in query.frames] for query in batch]
    texts = [held.read(query, [tokens[frame] for frame in own]) for query, own in zip(batch, about, strict=True)]
    ids = [held.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    given = [prefill.TokenizedPrompt(*one) for one in zip(ids, about, strict=True)]

    def read() -> None:
        with torch.inference_mode():
            prefill.ahead(held, given, encode_frames(held.model, seen))
        _settled(setting)

    patches = (setting.vision["image_size"][0] // setting.vision["patch_size"][0]) ** 2 + 1
    inner = held.model.model
    work = 2 * _weights(inner.language_model.layers[:-1]) * sum(len(row) - 1 for row in ids)
    work += 2 * _weights(inner.vision_tower.encoder) * patches * len(tokens)
    work += 2 * _weights(inner.multi_modal_projector) * sum(tokens)
    return work / _median(read) / _rate(setting)


def _rate(setting: Setting) -> float:
    """Operations a second of a plain product of matrices."""
    import torch

    one, other = torch.randn(2, setting.side, setting.side, device=setting.device).to(getattr(torch, setting.dtype))

    def product() -> None:
        for _ in range(10):
            one @ other
        _settled(setting)

    return 10 * 2 * setting.side**3 / _median(product)


def _median(action: Any) -> float:
    action()
    return statistics.median(clock(action) for _ in range(5))


def _settled(setting: Setting) -> None:
    import torch

    if setting.device == "cuda":
        torch.cuda.synchronize()


def _weights(part: Any) -> int:
    return sum(weight.numel() for weight in part.parameters() if weight.ndim > 1)


class _Heard(logging.Handler):
    """Takes from the log what share of the time a model waited for pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        for said in record.args or ():
            if isinstance(said, WaitStats):
                self.shares.append(said.waited / said.seconds)
