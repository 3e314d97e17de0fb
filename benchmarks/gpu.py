"""On a GPU: a model of InternVL2-8B's shape with random weights in bf16, in batches and one query at a time."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clips import clip
from benchmarks.queries import one_by_one
from benchmarks.timing import Row, clock
from vaa.generation import GREEDY
from vaa.models.base import WaitStats
from vaa.models.transformers.batching import answer_in_batches, prepare_inputs
from vaa.models.transformers.families import FrameProcessor, VisionInputs, family_of
from vaa.models.transformers.generation import drop_checkpoint_sampling
from vaa.models.transformers.kv_cache import TokenizedPrompt, prefill_batch
from vaa.models.transformers.loaded_model import LoadedModel
from vaa.models.transformers.loading import load
from vaa.models.transformers.vision_features import encode_frames
from vaa.stages.window import ConsecutiveWindow
from vaa.tiny import prompts
from vaa.types import GenerateQuery, Report, Video
from vaa.video.prefetch import decode_frames

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
    """A model of this shape on a device, the number of queries, and the side of the matrix products to compare with."""

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
        """The subject of the rows."""
        return f"InternVL2-8B's shape, random weights, {self.dtype}, 8 frames, {self.new_tokens} new tokens"


ALONE = "one query per `generate`, no overlap; seconds per query"
LARGE = Setting("cuda", "bfloat16", VISION, TEXT, 240, 12, 8, 40, 8192)


def rows() -> list[Row]:
    """Without a GPU, one row that says so."""
    import torch

    if torch.cuda.is_available():
        return measured(LARGE)
    return [Row(f"queries, {LARGE.name}", ALONE, "not measured: no GPU", ">= 8x", False, [])]


def measured(setting: Setting) -> list[Row]:
    """The three rows of one setting; passes in which the batch size still grows do not count."""
    loaded, queries = make_model(setting), make_queries(setting)
    run = partial(answer_in_batches, lambda: loaded, queries, GREEDY, "decord", None)
    answers, limit, size = list(run()), loaded.batch_size_for(queries[0]), setting.batch
    while limit.size != size:
        size = limit.size
        list(run())
    collector = _WaitCollector()
    logging.getLogger("vaa").addHandler(collector)
    logging.getLogger("vaa").setLevel(logging.INFO)
    ours = [clock(lambda: list(run())) / len(queries) for _ in range(3)]
    logging.getLogger("vaa").removeHandler(collector)
    few = queries[: setting.alone]
    alone = one_by_one(loaded, few)
    theirs = [clock(lambda: one_by_one(loaded, few)) / len(few) for _ in range(3)]
    ratio = statistics.median(theirs) / statistics.median(ours)
    same = sum(one == other for one, other in zip(answers, alone, strict=False))
    batch = min(size, len(queries))
    value = f"{ratio:.2f}x (batches of {batch}; {same} of {len(few)} answers equal, of random weights)"
    waited, share = max(collector.shares), _prefill_share(setting, loaded, queries)
    return [
        Row(f"queries, {setting.name}", ALONE, value, ">= 8x", ratio >= 8, ours, theirs),
        Row("the same, waiting for frames", "-", f"{waited:.0%}", "< 5 %", waited < 0.05, []),
        Row("the same, prefill", f"products of {setting.side} x {setting.side}",
            f"{share:.0%} of their rate", ">= 50 %", share >= 0.5, []),
    ]  # fmt: skip


def make_model(setting: Setting) -> LoadedModel:
    """The model, with the tokenizer and the image processor of the built-in one."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, InternVLConfig

    tiny = str(prompts.CHECKPOINTS / "vlm")
    tokenizer = load(AutoTokenizer, tiny, None)
    processor = load(AutoImageProcessor, tiny, None, backend="pil")
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
    drop_checkpoint_sampling(model, tokenizer)
    model.generation_config.eos_token_id = None  # every answer has the same number of tokens
    # Answers as token ids, since the tiny tokenizer has no text for most of the 92,553.
    tokenizer.batch_decode = lambda ids, **_: [" ".join(map(str, row.tolist())) for row in ids]
    frame_processor = FrameProcessor(
        family=family_of(config),
        config=config,
        processor=processor,
        max_pixels=None,
        max_visual_tokens=None,
        compress_tokens=False,
        timestamps=False,
        resize="pil",
        dtype=setting.dtype,
    )
    return LoadedModel(model=model, tokenizer=tokenizer, frame_processor=frame_processor, batch_size=setting.batch)


def make_queries(setting: Setting) -> list[GenerateQuery]:
    """CoReVAD's query about every second of a video of 320 x 240."""
    path = clip(Path("outputs/benchmarks") / f"key250_{setting.queries}s.mp4", setting.queries, 250)
    video, prompt = Video("v", path, setting.queries * 30, 30.0), prompts.load_prompts()["verdict"]
    return [
        replace(prompt.query(video, segment), max_new_tokens=setting.new_tokens, stop_pattern="")
        for segment in ConsecutiveWindow(length=30, n_frames=8)(Report(video)).segments
    ]


def _prefill_share(setting: Setting, loaded: LoadedModel, queries: Sequence[GenerateQuery]) -> float:
    """The rate of encoding frames and prefilling prompts, as a share of plain matrix products'.

    Two operations per weight and token; without attention's own products and the last layer's MLP.
    """
    import torch

    batch = queries[: max(setting.batch, 32)]
    frames, _ = decode_frames(batch, "decord")
    prepared = prepare_inputs(loaded.frame_processor, batch, [frames[k] for k in range(len(batch))])
    tokens = prepared.extra
    tensors = {name: torch.from_numpy(array) for name, array in prepared.arrays.items()}
    inputs = loaded.to_device(VisionInputs(tensors, tokens))
    indices = iter(range(len(tokens)))
    own = [[next(indices) for _ in query.frames] for query in batch]
    texts = [loaded.chat_text(query, [tokens[k] for k in ks]) for query, ks in zip(batch, own, strict=True)]
    ids = [loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    tokenized = [TokenizedPrompt(*prompt) for prompt in zip(ids, own, strict=True)]

    def prefill() -> None:
        with torch.inference_mode():
            prefill_batch(loaded, tokenized, encode_frames(loaded.model, inputs))
        _synchronize(setting)

    patches = (setting.vision["image_size"][0] // setting.vision["patch_size"][0]) ** 2 + 1
    inner = loaded.model.model
    work = 2 * _weights(inner.language_model.layers[:-1]) * sum(len(row) - 1 for row in ids)
    work += 2 * _weights(inner.vision_tower.encoder) * patches * len(tokens)
    work += 2 * _weights(inner.multi_modal_projector) * sum(tokens)
    return work / _median(prefill) / _rate(setting)


def _rate(setting: Setting) -> float:
    """Operations per second of plain matrix products."""
    import torch

    one, other = torch.randn(2, setting.side, setting.side, device=setting.device).to(getattr(torch, setting.dtype))

    def product() -> None:
        for _ in range(10):
            one @ other
        _synchronize(setting)

    return 10 * 2 * setting.side**3 / _median(product)


def _median(action: Any) -> float:
    action()
    return statistics.median(clock(action) for _ in range(5))


def _synchronize(setting: Setting) -> None:
    import torch

    if setting.device == "cuda":
        torch.cuda.synchronize()


def _weights(part: Any) -> int:
    return sum(weight.numel() for weight in part.parameters() if weight.ndim > 1)


class _WaitCollector(logging.Handler):
    """Collects from the log the share of the time that a model waited for pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        for value in record.args or ():
            if isinstance(value, WaitStats):
                self.shares.append(value.waited / value.seconds)
