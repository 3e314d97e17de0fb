"""The tiny VLM: InternVL's architecture with 1.2 million parameters, and the losses of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812, the usual name

from vaa.synthetic.canvas import SIDE, Label
from vaa.synthetic.events import EVENT_CLASSES
from vaa.synthetic.script import RenderedFrame
from vaa.tiny.corpus import patches
from vaa.tiny.packing import IGNORED, TokenBatch

TOKENS = 16
"""Visual tokens of a frame: 8x8 patches of 8 pixels, four of them merged into one."""
_MEAN, _STD = 0.45, 0.25
WIDTH = 128
EVEN = tuple(0.12 if label == Label.NOTHING else 1.0 for label in Label)
BALANCED = (0.1, 0.7, 2.5, 0.9, 3.0, 2.0, 1.0, 1.5, 3.0, 3.0, 0.8, 2.0, 1.0, 1.0, 0.5, 2.0)
"""Weights of the labels in the loss: EVEN lowers the background's, BALANCED also raises those of rare labels."""


def build(tokenizer: Any) -> Any:
    """An untrained InternVLForConditionalGeneration.

    Position embeddings start at random: from zero, the library's default, they hardly change in an hour of training.
    """
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig, Qwen2Config

    vision = InternVLVisionConfig(
        hidden_size=112, num_hidden_layers=4, num_attention_heads=4, intermediate_size=288, image_size=[SIDE, SIDE],
        patch_size=[8, 8], layer_scale_init_value=1.0, attention_bias=True)  # fmt: skip
    text = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
        intermediate_size=352, max_position_embeddings=8192, tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None)  # fmt: skip
    model = InternVLForConditionalGeneration(InternVLConfig(
        vision_config=vision, text_config=text, image_seq_length=TOKENS, downsample_ratio=0.5, tie_word_embeddings=True,
        image_token_id=tokenizer.convert_tokens_to_ids(tokenizer.context_image_token)))  # fmt: skip
    for parameter in (
        model.model.vision_tower.embeddings.position_embeddings,
        model.model.vision_tower.embeddings.cls_token,
    ):
        nn.init.normal_(parameter, std=0.1)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


class Heads(nn.Module):
    """Heads on the visual tokens (n, 16, WIDTH) and inside the language model, for training only.

    Their losses reach the vision tower sooner than the loss of the answers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Linear(WIDTH, 4 * len(Label))
        self.box = nn.Linear(WIDTH, 5)
        self.event = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(EVENT_CLASSES) + 1))

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the patches' labels (n, 16, 4, labels); the logit and the box of an anomaly (n, 16, 5)."""
        return self.parts(tokens).unflatten(-1, (4, len(Label))), self.box(tokens)


def pixels(pictures: Sequence[RenderedFrame]) -> torch.Tensor:
    """The model's input for frames, (n, 3, SIDE, SIDE)."""
    stacked = torch.from_numpy(np.stack([picture.pixels for picture in pictures])).permute(0, 3, 1, 2)
    return (stacked.float() / 255 - _MEAN) / _STD


def visual_tokens(model: Any, pictures: Sequence[RenderedFrame]) -> torch.Tensor:
    """The visual tokens of frames, (n, 16, WIDTH)."""
    return model.model.get_image_features(pixels(pictures), return_dict=True).pooler_output  # type: ignore[no-any-return]


def dense_loss(
    heads: Heads, tokens: torch.Tensor, pictures: Sequence[RenderedFrame], weights: Sequence[float]
) -> torch.Tensor:
    """The loss of the patches' labels, with these weights, and of the anomalies' boxes."""
    targets = torch.from_numpy(np.stack([patches(picture.labels) for picture in pictures]))
    targets = targets.view(-1, 4, 2, 4, 2).permute(0, 1, 3, 2, 4).reshape(-1, 16, 4)
    part_logits, anomaly = heads(tokens)
    loss = F.cross_entropy(part_logits.flatten(0, 2), targets.flatten(), torch.tensor(weights))
    inside, boxes = _cells(pictures)
    loss = loss + F.binary_cross_entropy_with_logits(anomaly[..., 0], inside.float())
    if inside.any():
        loss = loss + 4 * F.l1_loss(anomaly[..., 1:][inside], boxes[:, None].expand(-1, 16, -1)[inside])
    return loss


def _cells(pictures: Sequence[RenderedFrame]) -> tuple[torch.Tensor, torch.Tensor]:
    """The 4x4 cells of which the anomaly covers a fifth or more, (n, 16), and its box / SIDE, (n, 4)."""
    boxes = torch.tensor([picture.box or (0.0, 0.0, 0.0, 0.0) for picture in pictures])
    edges = torch.arange(4) * 16.0
    spans = [(torch.minimum(boxes[:, k + 2, None], edges + 16) - torch.maximum(boxes[:, k, None], edges)).clamp(0)
             for k in (0, 1)]  # fmt: skip
    covered = spans[1][:, :, None] * spans[0][:, None, :]
    return (covered > 0.2 * 256).flatten(1) | (covered >= covered.amax((1, 2), keepdim=True)).flatten(1) & (
        covered.flatten(1) > 0
    ), boxes / SIDE


def losses(
    model: Any, heads: Heads, batch: TokenBatch, tokens: torch.Tensor | None, events: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of the answers, and of the event class of each frame.

    The first is the cross entropy summed over an answer's tokens, as a mean over answers. The second is taken at the
    last token of a frame, one layer before the last, where later tokens can still attend to it. `events` has a class
    for each frame; without any the second loss is 0.
    """
    embedded = model.get_input_embeddings()(batch.ids)
    if tokens is not None:
        places = (batch.ids == model.config.image_token_id)[..., None]
        embedded = embedded.masked_scatter(places, tokens)
    out = model.model.language_model(
        inputs_embeds=embedded, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False,
        output_hidden_states=True)  # fmt: skip
    in_answer = batch.targets != IGNORED
    answers = (batch.targets == model.generation_config.eos_token_id).sum()
    logits = model.lm_head(out.last_hidden_state[in_answer])
    answer_loss = F.cross_entropy(logits, batch.targets[in_answer], reduction="sum") / answers
    if not events:
        return answer_loss, torch.zeros(())
    frames = out.hidden_states[2][batch.ids == model.config.image_token_id].view(-1, TOKENS, WIDTH)
    return answer_loss, F.cross_entropy(heads.event(frames[:, -1]), torch.tensor(events))


def processor() -> Any:
    """The image processor of the checkpoint: bicubic resize to SIDE x SIDE, whatever the aspect ratio."""
    from transformers import AutoImageProcessor, GotOcr2ImageProcessor  # noqa: F401

    return GotOcr2ImageProcessor(
        size={"height": SIDE, "width": SIDE}, crop_to_patches=False, image_mean=[_MEAN] * 3, image_std=[_STD] * 3
    )
