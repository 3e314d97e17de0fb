"""The tiny CLIP: half a million parameters, trained on frames and on the sentences that the tiny VLM answers with."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812, the usual name

from vaa.synthetic.canvas import SIDE, Label
from vaa.synthetic.events import EVENT_CLASSES, EVERYWHERE
from vaa.synthetic.script import ReferenceAnswer
from vaa.tiny import corpus
from vaa.tiny.tokenizer import END
from vaa.tiny.vlm import BALANCED, pixels

log = logging.getLogger("vaa.tiny")
LOGIT_SCALE = 20.0
"""1 / 0.05, CoReVAD's temperature: scaled similarities are trained to be the logits of the posterior."""


def build(tokenizer: Any) -> Any:
    """An untrained CLIPModel."""
    from transformers import CLIPConfig, CLIPModel

    vision = {"hidden_size": 112, "intermediate_size": 288, "num_hidden_layers": 3, "num_attention_heads": 4,
              "image_size": SIDE, "patch_size": 8}  # fmt: skip
    text = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 77, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.convert_tokens_to_ids(END), "bos_token_id": tokenizer.pad_token_id}  # fmt: skip
    model = CLIPModel(CLIPConfig(
        vision_config=vision, text_config=text, projection_dim=64,
        logit_scale_init_value=math.log(LOGIT_SCALE)))  # fmt: skip
    embeddings = model.vision_model.embeddings
    for parameter in (embeddings.position_embedding.weight, embeddings.class_embedding):
        nn.init.normal_(parameter, std=0.1)
    return model


def reference_answers() -> list[ReferenceAnswer]:
    """All reference answers that a single frame may have."""
    return [
        ReferenceAnswer(event_class=event_class, place=place, night=night)
        for event_class in (None, *EVENT_CLASSES.values())
        for place in (event_class.places if event_class else EVERYWHERE)
        for night in (False, True)
    ]


def texts(references: Sequence[ReferenceAnswer], form: int) -> list[str]:
    """A text of each: 0 its sentence, 1 a verdict and the sentence as in CoReVAD, 2 its description."""
    if form == 0:
        return [reference.sentence for reference in references]
    if form == 1:
        verdicts = ["Anomalous scenes." if reference.anomalous else "Normal scenes." for reference in references]
        return [f"{verdict} {reference.sentence}" for verdict, reference in zip(verdicts, references, strict=True)]
    return [reference.description for reference in references]


def train(tokenizer: Any, seed: int, steps: int) -> Any:
    """Train from random weights on single frames and on means of four, since CoReVAD embeds a segment by its mean.

    A second loss on the label of each patch makes the model learn small objects in this time.
    """
    rng, draw = np.random.default_rng([seed, 3]), random.Random(seed)  # noqa: S311, no secret
    model, patch_head = build(tokenizer), nn.Linear(112, len(Label))
    references = reference_answers()
    index = {reference: k for k, reference in enumerate(references)}
    parameters = [p for name, p in model.named_parameters() if name != "logit_scale"] + list(patch_head.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.05, betas=(0.9, 0.98))
    start = time.monotonic()
    for step in range(steps):
        rate = 2e-3 * min(1, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        samples = [*corpus.draw_stills(rng, 48, 0.55), *(corpus.draw_clip(rng, (4, 2.7)) for _ in range(12))]
        targets = torch.tensor([index[sample.reference] for sample in samples])
        inputs = tokenizer(texts(references, draw.randrange(3)), padding=True, return_tensors="pt")
        text_loss, patch_loss = _losses(model, patch_head, samples, inputs, targets)
        optimizer.zero_grad()
        (text_loss + patch_loss).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 25 == 0:
            seconds = time.monotonic() - start
            log.info("clip %d/%d loss %.3f %.3f, %.0f s", step, steps, text_loss.item(), patch_loss.item(), seconds)
    return model


def _losses(
    model: Any, patch_head: nn.Linear, samples: Sequence[corpus.Sample], inputs: Any, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross entropy of the reference's text among all, and of the patches' labels."""
    pictures = [picture for sample in samples for picture in sample.pictures]
    vision = model.vision_model(pixel_values=pixels(pictures))
    frames = F.normalize(model.visual_projection(vision.pooler_output), dim=-1)
    counts = [len(sample.pictures) for sample in samples]
    image = torch.stack([part.mean(0) for part in torch.split(frames, counts)])
    pooled = model.text_model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).pooler_output
    text = F.normalize(model.text_projection(pooled), dim=-1)
    text_loss = F.cross_entropy(LOGIT_SCALE * image @ text.T, targets)
    labels = torch.from_numpy(np.stack([corpus.patches(picture.labels) for picture in pictures]))
    patch_logits = patch_head(vision.last_hidden_state[:, 1:])
    patch_loss = F.cross_entropy(patch_logits.flatten(0, 1), labels.flatten(), torch.tensor(BALANCED))
    return text_loss, patch_loss


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the checkpoint in Hugging Face's format, in float16."""
    state = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)


def accuracy(folder: Path, frames: int) -> dict[str, float]:
    """The share of new single frames whose nearest sentence is right, as a whole and in each of its parts."""
    from transformers import AutoTokenizer, CLIPModel

    model, tokenizer = CLIPModel.from_pretrained(folder).float().eval(), AutoTokenizer.from_pretrained(folder)
    references, samples = reference_answers(), corpus.draw_stills(np.random.default_rng([0, frames]), frames, 0.55)
    inputs = tokenizer(texts(references, 0), padding=True, return_tensors="pt")
    with torch.no_grad():
        text = model.get_text_features(**inputs).pooler_output
        image = model.get_image_features(pixel_values=pixels([sample.pictures[0] for sample in samples])).pooler_output
    nearest = (F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T).argmax(1).tolist()
    pairs = [(references[k], sample.reference) for k, sample in zip(nearest, samples, strict=True)]
    return {
        "sentence": float(np.mean([guess == truth for guess, truth in pairs])),
        "kind": float(np.mean([guess.event_class == truth.event_class for guess, truth in pairs])),
        "anomalous or not": float(np.mean([guess.anomalous == truth.anomalous for guess, truth in pairs])),
        "place": float(np.mean([guess.place == truth.place for guess, truth in pairs])),
        "day or night": float(np.mean([guess.night == truth.night for guess, truth in pairs])),
    }
