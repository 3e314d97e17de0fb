"""Train the tiny VLM and the tiny CLIP from nothing: `python -m vaa.tiny.train`: 45 minutes on two CPU cores.

First the vision alone on what is where in single frames, since small things are not learned through words in this
time; then everything together, the vision at a third of the learning rate.
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

import numpy as np
import torch

from vaa.tiny import clip, corpus, prompts, tokenizer, vlm
from vaa.tiny.lessons import Teacher

log = logging.getLogger("vaa.tiny")
WEIGHTS = (0.2, 0.2, 0.15, 0.5, 1.0)
"""Of the answers about moments, single frames, texts, of the events and of what is where."""


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=prompts.CHECKPOINTS, help="folder of the checkpoints")
    parser.add_argument("--part", choices=("vlm", "clip", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--look-steps", type=int, default=1100, help="steps of vision alone, 128 frames each")
    parser.add_argument("--balance-steps", type=int, default=300, help="the same, where what is rare weighs more")
    parser.add_argument("--steps", type=int, default=1450, help="steps of everything, 12 moments each")
    parser.add_argument("--clip-steps", type=int, default=1600, help="steps of the tiny CLIP, 96 frames each")
    parser.add_argument("--look-from", type=Path, help="take up the state that an earlier vision phase left")
    parser.add_argument("--look-to", type=Path, help="keep the state after the vision phase in this file")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if given.part != "clip":
        _vlm(given, given.out / "vlm")
    if given.part != "vlm":
        torch.manual_seed(given.seed)
        words = tokenizer.build(ends_with=tokenizer.END)
        clip.save(clip.train(words, given.seed, given.clip_steps), words, given.out / "clip")


def _vlm(given: argparse.Namespace, out: Path) -> None:
    torch.manual_seed(given.seed)
    words = tokenizer.build()
    model, heads = vlm.build(words), vlm.Heads()
    log.info("%d parameters", sum(p.numel() for p in model.parameters()))
    if given.look_from:
        _take_up(given.look_from, model, heads)
    else:
        look(model, heads, given.seed, given.look_steps, vlm.EVEN, 0.75)
    if given.balance_steps:
        look(model, heads, given.seed, given.balance_steps, vlm.BALANCED, 0.45)
    if given.look_to:
        torch.save({"model": model.state_dict(), "heads": heads.state_dict()}, given.look_to)
    talk(model, heads, words, given.seed, given.steps, out)
    save(model, words, out)


def _take_up(path: Path, model: Any, heads: vlm.Heads) -> None:
    held = torch.load(path, weights_only=True)
    seeing = {name: value for name, value in held["model"].items() if ".vision_tower." in name or "projector" in name}
    model.load_state_dict(seeing, strict=False)
    heads.load_state_dict(held["heads"], strict=False)


def look(model: Any, heads: vlm.Heads, seed: int, steps: int, weights: Sequence[float], share: float) -> None:
    """Teach the vision alone to say what is where in single frames."""
    rng = np.random.default_rng([seed, steps])
    learned = [
        *model.model.vision_tower.parameters(),
        *model.model.multi_modal_projector.parameters(),
        *heads.parameters(),
    ]
    optimizer = torch.optim.AdamW(learned, lr=0.0, weight_decay=0.03, betas=(0.9, 0.98))
    began = time.monotonic()
    for step in range(steps):
        _set(optimizer, [2e-3 * _warm(step, 60) * (0.15 + 0.85 * _cosine(step, steps))])
        shown = [moment.pictures[0] for moment in corpus.stills(rng, 128, share)]
        loss = vlm.dense_loss(heads, vlm.see(model, shown), shown, weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        if step % 25 == 0:
            log.info("look %d/%d loss %.3f, %.0f s", step, steps, loss.item(), time.monotonic() - began)


def talk(model: Any, heads: vlm.Heads, words: Any, seed: int, steps: int, out: Path) -> None:
    """Teach the answers, and go on teaching what is where."""
    rng, draw = np.random.default_rng([seed, 2]), random.Random(seed)  # noqa: S311, no secret
    teacher = Teacher(words, prompts.prompts())
    vision = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    language = [*model.model.language_model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": language}, {"params": vision}], lr=0.0, weight_decay=0.03, betas=(0.9, 0.98)
    )
    began = time.monotonic()
    for step in range(steps):
        rate = 2e-3 * (0.02 + 0.98 * _cosine(step, steps))
        _set(optimizer, [rate * _warm(step, 60), 0.3 * rate * _warm(step, 300)])
        losses = _step(model, heads, teacher, rng, draw)
        optimizer.zero_grad()
        (torch.stack(losses) * torch.tensor(WEIGHTS)).sum().backward()  # type: ignore[no-untyped-call]
        for part in (vision, language):
            torch.nn.utils.clip_grad_norm_(part, 1.0)
        optimizer.step()
        if step % 25 == 0:
            told = " ".join(f"{loss.item():.3f}" for loss in losses)
            log.info("talk %d/%d loss %s, %.0f s", step, steps, told, time.monotonic() - began)
        if step % 200 == 199:
            save(model, words, out)


def _step(
    model: Any, heads: vlm.Heads, teacher: Teacher, rng: np.random.Generator, draw: random.Random
) -> list[torch.Tensor]:
    moments, stills = teacher.moments(rng, draw, 12), teacher.stills(rng, draw, 20)
    texts = teacher.texts(rng, draw, 7)
    shown = (*moments.pictures, *stills.pictures)
    seen = vlm.see(model, shown)
    first = len(moments.pictures)
    told = vlm.losses(model, heads, moments.batch, seen[:first], moments.events)
    boxed = vlm.losses(model, heads, stills.batch, seen[first:], stills.events)
    worded, _ = vlm.losses(model, heads, texts.batch, None, ())
    return [told[0], boxed[0], worded, told[1] + boxed[1], vlm.dense_loss(heads, seen, shown, vlm.BALANCED)]


def _set(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> None:
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _warm(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / steps)


def _cosine(step: int, steps: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def save(model: Any, words: Any, out: Path) -> None:
    """Write the checkpoint in Hugging Face form, in half precision, with the prompts' fingerprints."""
    from transformers import AutoModelForImageTextToText

    held = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(out, state_dict=held)
    words.save_pretrained(out)
    vlm.processor().save_pretrained(out)
    prompts.remember(out)
    AutoModelForImageTextToText.from_pretrained(out)


if __name__ == "__main__":
    main()
