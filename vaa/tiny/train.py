"""Train the tiny VLM and the tiny CLIP from random weights: `python -m vaa.tiny.train`, 45 minutes on two CPU cores.

First the VLM's vision tower alone, on the labels of patches in single frames, since small objects are not learned from
text in this time; then the whole model, the vision tower at a third of the learning rate.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaa import process

if __name__ == "__main__":
    process.configure()  # before torch is imported

import numpy as np
import torch

from vaa.tiny import clip, corpus, prompts, tokenizer, vlm
from vaa.tiny.batches import BatchMaker

log = logging.getLogger("vaa.tiny")
LOSS_WEIGHTS = (0.2, 0.2, 0.15, 0.5, 1.0)
"""Answers about clips, single frames and texts; event classes; patches and boxes."""


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=prompts.CHECKPOINTS, help="folder of the checkpoints")
    parser.add_argument("--part", choices=("vlm", "clip", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--look-steps", type=int, default=1100, help="steps of the vision tower alone, 128 frames each")
    parser.add_argument("--balance-steps", type=int, default=300, help="the same with larger weights for rare labels")
    parser.add_argument("--steps", type=int, default=1450, help="steps of the whole VLM, 12 clips each")
    parser.add_argument("--clip-steps", type=int, default=1600, help="steps of the tiny CLIP, 96 frames each")
    parser.add_argument(
        "--look-from", type=Path, help="start from the vision tower saved by --look-to, or of a checkpoint"
    )
    parser.add_argument("--look-to", type=Path, help="save the state after the steps of the vision tower")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.part != "clip":
        _train_vlm(args, args.out / "vlm")
    if args.part != "vlm":
        torch.manual_seed(args.seed)
        clip_tokenizer = tokenizer.build(ends_with=tokenizer.END)
        clip_model = clip.train(clip_tokenizer, args.seed, args.clip_steps)
        clip.save(clip_model, clip_tokenizer, args.out / "clip")


def _train_vlm(args: argparse.Namespace, folder: Path) -> None:
    torch.manual_seed(args.seed)
    vlm_tokenizer = tokenizer.build()
    model, heads = vlm.build(vlm_tokenizer), vlm.Heads()
    log.info("%d parameters", sum(p.numel() for p in model.parameters()))
    if args.look_from:
        _load_vision(args.look_from, model, heads)
    else:
        train_vision(model, heads, args.seed, args.look_steps, vlm.EVEN, 0.75)
    if args.balance_steps:
        train_vision(model, heads, args.seed, args.balance_steps, vlm.BALANCED, 0.45)
    if args.look_to:
        torch.save({"model": model.state_dict(), "heads": heads.state_dict()}, args.look_to)
    train_all(model, heads, vlm_tokenizer, args.seed, args.steps, folder)
    save(model, vlm_tokenizer, folder)


def _load_vision(file: Path, model: Any, heads: vlm.Heads) -> None:
    """From a file of --look-to, or from the folder of a checkpoint, which has no heads."""
    from transformers import AutoModelForImageTextToText

    if file.is_dir():
        state = {"model": AutoModelForImageTextToText.from_pretrained(file).state_dict(), "heads": {}}
    else:
        state = torch.load(file, weights_only=True)
    vision = {name: value for name, value in state["model"].items() if ".vision_tower." in name or "projector" in name}
    model.load_state_dict(vision, strict=False)
    heads.load_state_dict(state["heads"], strict=False)


def train_vision(model: Any, heads: vlm.Heads, seed: int, steps: int, weights: Sequence[float], share: float) -> None:
    """Train the vision tower alone, on the labels of patches in single frames."""
    rng = np.random.default_rng([seed, steps])
    parameters = [
        *model.model.vision_tower.parameters(),
        *model.model.multi_modal_projector.parameters(),
        *heads.parameters(),
    ]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.03, betas=(0.9, 0.98))
    start = time.monotonic()
    for step in range(steps):
        _set_rates(optimizer, [2e-3 * _warm_up(step, 60) * (0.15 + 0.85 * _cosine(step, steps))])
        pictures = [sample.pictures[0] for sample in corpus.draw_stills(rng, 128, share)]
        loss = vlm.dense_loss(heads, vlm.visual_tokens(model, pictures), pictures, weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 25 == 0:
            log.info("vision %d/%d loss %.3f, %.0f s", step, steps, loss.item(), time.monotonic() - start)


def train_all(model: Any, heads: vlm.Heads, tokenizer: Any, seed: int, steps: int, folder: Path) -> None:
    """Train the whole model on answers, event classes, patches and boxes."""
    rng, draw = np.random.default_rng([seed, 2]), random.Random(seed)  # noqa: S311, no secret
    batches = BatchMaker(tokenizer, prompts.load_prompts())
    vision = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    language = [*model.model.language_model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": language}, {"params": vision}], lr=0.0, weight_decay=0.03, betas=(0.9, 0.98)
    )
    start = time.monotonic()
    for step in range(steps):
        rate = 2e-3 * (0.02 + 0.98 * _cosine(step, steps))
        _set_rates(optimizer, [rate * _warm_up(step, 60), 0.3 * rate * _warm_up(step, 300)])
        losses = _losses(model, heads, batches, rng, draw)
        optimizer.zero_grad()
        (torch.stack(losses) * torch.tensor(LOSS_WEIGHTS)).sum().backward()  # type: ignore[no-untyped-call]
        for part in (vision, language):
            torch.nn.utils.clip_grad_norm_(part, 1.0)
        optimizer.step()
        if step % 25 == 0:
            values = " ".join(f"{loss.item():.3f}" for loss in losses)
            log.info("vlm %d/%d loss %s, %.0f s", step, steps, values, time.monotonic() - start)
        if step % 200 == 199:
            save(model, tokenizer, folder)


def _losses(
    model: Any, heads: vlm.Heads, batches: BatchMaker, rng: np.random.Generator, draw: random.Random
) -> list[torch.Tensor]:
    """In the order of LOSS_WEIGHTS."""
    clips, stills = batches.clips(rng, draw, 12), batches.stills(rng, draw, 20)
    texts = batches.texts(rng, draw, 7)
    pictures = (*clips.pictures, *stills.pictures)
    visual = vlm.visual_tokens(model, pictures)
    split = len(clips.pictures)
    clip_answers, clip_events = vlm.losses(model, heads, clips.tokens, visual[:split], clips.events)
    still_answers, still_events = vlm.losses(model, heads, stills.tokens, visual[split:], stills.events)
    text_answers, _ = vlm.losses(model, heads, texts.tokens, None, ())
    dense = vlm.dense_loss(heads, visual, pictures, vlm.BALANCED)
    return [clip_answers, still_answers, text_answers, clip_events + still_events, dense]


def _set_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> None:
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _warm_up(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / steps)


def _cosine(step: int, steps: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the checkpoint in Hugging Face's format, in float16, with the prompts' fingerprints."""
    from transformers import AutoModelForImageTextToText

    state = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    vlm.processor().save_pretrained(folder)
    prompts.write_fingerprints(folder)
    AutoModelForImageTextToText.from_pretrained(folder)  # fails if the checkpoint is incomplete


if __name__ == "__main__":
    main()
