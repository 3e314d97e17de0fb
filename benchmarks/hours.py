"""What a data set costs with a large model: computed, not measured. `python -m benchmarks.hours` prints the table.

Every number that is assumed stands below under its name; docs/scaling.md explains the formula.
"""

from __future__ import annotations

from dataclasses import dataclass

PEAK = 989e12  # FLOP/s of an H200 in bf16, dense (data sheet)
BANDWIDTH = 4.8e12  # bytes/s of its memory (data sheet)
SHARE_OF_PEAK = 0.4  # of it that reading a prompt reaches: an assumption, the hours hang on it
SHARE_OF_BANDWIDTH = 0.6  # the same for writing
BATCH = 32  # questions that are written at once: an assumption
PATCHES = 1025  # tokens in InternViT of a frame of 448 x 448 at 14 x 14, before they are merged to 256
TOKENS_A_FRAME = 256
LETTERS_A_TOKEN = 4.0  # of English: a rule of thumb


@dataclass(frozen=True)
class Backbone:
    """Parameters of the eye and of the language model, bytes of a weight, layers and width of the remembered keys."""

    name: str
    eye: float
    language: float
    weight: float
    layers: int
    keys: int  # numbers a layer keeps of a token: 2 x key heads x their width


@dataclass(frozen=True)
class Asked:
    """One kind of question: how many, frames of each, tokens of text read and written."""

    name: str
    queries: float
    frames: int
    read: float
    written: float


BACKBONES = (
    Backbone("InternVL2-8B, bf16", 0.30e9, 7.7e9, 2, 32, 2 * 8 * 128),
    Backbone("InternVL2-26B, bf16", 5.5e9, 19.9e9, 2, 48, 2 * 8 * 128),
    Backbone("InternVL2-76B, int8", 5.5e9, 70.6e9, 1, 80, 2 * 8 * 128),
)
FRAMES = {"UCF-Crime": (290, 1_111_808), "XD-Violence": (800, 2_335_801)}
# Answers the authors released for UCF-Crime have 91 (CoReVAD) and 192 (URF) letters on average, URF's for XD-Violence
# 276. A video ends within a segment: half of one more for each on average. What URF asks a second time is bounded by
# all of its ratings.
WRITTEN = {"UCF-Crime": 192, "XD-Violence": 276}


def asked(data: str) -> dict[str, tuple[Asked, ...]]:
    """What each method asks of a data set."""
    videos, frames = FRAMES[data]
    centres = frames / 16 + videos / 2
    caption = WRITTEN[data] / LETTERS_A_TOKEN
    return {
        "CoReVAD": (Asked("verdict", frames / 30 + videos / 2, 8, 150, 91 / LETTERS_A_TOKEN),),
        "URF": (
            Asked("caption", centres, 10, 50, caption),
            Asked("rating", centres, 0, 100 + caption, 6),
            Asked("rerating, at most", centres, 0, 120 + caption, 6),
        ),
    }


def hours(backbone: Backbone, query: Asked) -> tuple[float, float]:
    """To read all prompts, which computing bounds, and to write all answers, which memory bounds."""
    visual = query.frames * TOKENS_A_FRAME
    context = visual + query.read
    flops = 2 * (backbone.eye * query.frames * PATCHES + backbone.language * context)
    reading = flops / (PEAK * SHARE_OF_PEAK)
    weights, kept = backbone.language * backbone.weight / BATCH, 2 * backbone.layers * backbone.keys * context
    writing = query.written * (weights + kept) / (BANDWIDTH * SHARE_OF_BANDWIDTH)
    return query.queries * reading / 3600, query.queries * writing / 3600


def main() -> None:
    """Print the table."""
    print("| data | method | backbone | questions | visual tokens | text tokens | reading, h | writing, h | hours |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for data in FRAMES:
        for method, kinds in asked(data).items():
            count = sum(kind.queries for kind in kinds)
            visual = sum(kind.queries * kind.frames * TOKENS_A_FRAME for kind in kinds)
            text = sum(kind.queries * (kind.read + kind.written) for kind in kinds)
            for backbone in BACKBONES:
                reading, writing = (sum(part) for part in zip(*(hours(backbone, kind) for kind in kinds), strict=True))
                shown = f"{count / 1e3:.0f} k | {visual / 1e6:.0f} M | {text / 1e6:.0f} M"
                times = f"{reading:.1f} | {writing:.1f} | **{reading + writing:.1f}**"
                print(f"| {data} | {method} | {backbone.name} | {shown} | {times} |")


if __name__ == "__main__":
    main()
