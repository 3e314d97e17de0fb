"""The tiny CLIP: half a million parameters, frames and the very sentences the tiny VLM writes in one space."""

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
from vaa.synthetic.kinds import EVERYWHERE, KINDS
from vaa.synthetic.words import Account
from vaa.tiny import corpus
from vaa.tiny.tokenizer import END
from vaa.tiny.vlm import BALANCED, pixels

log = logging.getLogger("vaa.tiny")
SHARPNESS = 20.0
"""Similarities are learned to be the posterior at CoReVAD's temperature, 1 / 0.05."""


def build(words: Any) -> Any:
    """An untrained CLIPModel."""
    from transformers import CLIPConfig, CLIPModel

    vision = {"hidden_size": 112, "intermediate_size": 288, "num_hidden_layers": 3, "num_attention_heads": 4,
              "image_size": SIDE, "patch_size": 8}  # fmt: skip
    text = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 77, "vocab_size": len(words), "pad_token_id": words.pad_token_id,
            "eos_token_id": words.convert_tokens_to_ids(END), "bos_token_id": words.pad_token_id}  # fmt: skip
    model = CLIPModel(CLIPConfig(
        vision_config=vision, text_config=text, projection_dim=64,
        logit_scale_init_value=math.log(SHARPNESS)))  # fmt: skip
    embeddings = model.vision_model.embeddings
    for parameter in (embeddings.position_embedding.weight, embeddings.class_embedding):
        nn.init.normal_(parameter, std=0.1)
    return model


def accounts() -> list[Account]:
    """Everything one frame may show, once each."""
    kinds = (None, *KINDS.values())
    return [Account(k, place, night) for k in kinds for place in EVERYWHERE for night in (False, True)
            if k is None or place in k.places]  # fmt: skip


def texts(told: Sequence[Account], form: int) -> list[str]:
    """What is said of each: the sentence alone, with the verdict before it as CoReVAD's responses have it, or short."""
    verdicts = ["Anomalous scenes." if account.anomalous else "Normal scenes." for account in told]
    if form == 0:
        return [account.sentence for account in told]
    if form == 1:
        return [f"{verdict} {account.sentence}" for verdict, account in zip(verdicts, told, strict=True)]
    return [account.description for account in told]


def train(words: Any, seed: int, steps: int) -> Any:
    """Learn from nothing, single frames and means over four: CoReVAD compares a segment's mean with what is said of it.

    Patches are taught what they show as well, or small things are not seen in this time.
    """
    rng, draw = np.random.default_rng([seed, 3]), random.Random(seed)  # noqa: S311, no secret
    model, parts = build(words), nn.Linear(112, len(Label))
    told = accounts()
    number = {account: index for index, account in enumerate(told)}
    learned = [p for name, p in model.named_parameters() if name != "logit_scale"] + list(parts.parameters())
    optimizer = torch.optim.AdamW(learned, lr=0.0, weight_decay=0.05, betas=(0.9, 0.98))
    began = time.monotonic()
    for step in range(steps):
        rate = 2e-3 * min(1, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        seen = [*corpus.stills(rng, 48, 0.55), *(corpus.moment(rng, (4, 2.7)) for _ in range(12))]
        wanted = torch.tensor([number[moment.account] for moment in seen])
        aligned, dense = _losses(model, parts, words, seen, wanted, texts(told, draw.randrange(3)))
        optimizer.zero_grad()
        (aligned + dense).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        if step % 25 == 0:
            spent = time.monotonic() - began
            log.info("clip %d/%d loss %.3f %.3f, %.0f s", step, steps, aligned.item(), dense.item(), spent)
    return model


def _losses(
    model: Any, parts: nn.Linear, words: Any, seen: Sequence[corpus.Moment], wanted: torch.Tensor, said: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    shown = [picture for moment in seen for picture in moment.pictures]
    vision = model.vision_model(pixel_values=pixels(shown))
    frames = F.normalize(model.visual_projection(vision.pooler_output), dim=-1)
    counts = [len(moment.pictures) for moment in seen]
    image = torch.stack([part.mean(0) for part in torch.split(frames, counts)])
    inputs = words(said, padding=True, return_tensors="pt")
    pooled = model.text_model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).pooler_output
    text = F.normalize(model.text_projection(pooled), dim=-1)
    aligned = F.cross_entropy(SHARPNESS * image @ text.T, wanted)
    labels = torch.from_numpy(np.stack([corpus.patches(picture.labels) for picture in shown]))
    guessed = parts(vision.last_hidden_state[:, 1:])
    dense = F.cross_entropy(guessed.flatten(0, 1), labels.flatten(), torch.tensor(BALANCED))
    return aligned, dense


def save(model: Any, words: Any, out: Path) -> None:
    """Write the checkpoint in Hugging Face form, in half precision."""
    held = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(out, state_dict=held)
    words.save_pretrained(out)


def exam(folder: Path, frames: int) -> dict[str, float]:
    """Of unseen single frames the share whose nearest sentence is right, wholly and in part."""
    from transformers import AutoTokenizer, CLIPModel

    model, words = CLIPModel.from_pretrained(folder).float().eval(), AutoTokenizer.from_pretrained(folder)
    told, seen = accounts(), corpus.stills(np.random.default_rng([0, frames]), frames, 0.55)
    with torch.no_grad():
        text = model.get_text_features(**words(texts(told, 0), padding=True, return_tensors="pt")).pooler_output
        image = model.get_image_features(pixel_values=pixels([moment.pictures[0] for moment in seen])).pooler_output
    nearest = [told[i] for i in (F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T).argmax(1).tolist()]
    pairs = [(found, moment.account) for found, moment in zip(nearest, seen, strict=True)]
    return {
        "sentence": float(np.mean([found == true for found, true in pairs])),
        "kind": float(np.mean([found.kind == true.kind for found, true in pairs])),
        "anomalous or not": float(np.mean([found.anomalous == true.anomalous for found, true in pairs])),
        "place": float(np.mean([found.place == true.place for found, true in pairs])),
        "day or night": float(np.mean([found.night == true.night for found, true in pairs])),
    }
