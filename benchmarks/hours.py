"""Estimated GPU hours of a data set with a large model (not measured): `python -m benchmarks.hours` prints the table.

All assumptions are constants below; docs/scaling.md explains the formula.
"""

from __future__ import annotations

from dataclasses import dataclass

PEAK = 989e12  # FLOP/s of an H200 in bf16, dense (data sheet)
BANDWIDTH = 4.8e12  # bytes/s of its memory (data sheet)
PREFILL_EFFICIENCY = 0.4  # share of PEAK that prefill reaches: an assumption that determines the hours
DECODE_EFFICIENCY = 0.6  # share of BANDWIDTH that decoding reaches: an assumption
BATCH = 32  # answers that are decoded together: an assumption
PATCHES = 1025  # tokens in InternViT of a frame of 448 x 448 at 14 x 14, before they are merged to 256
TOKENS_PER_FRAME = 256
CHARACTERS_PER_TOKEN = 4.0  # of English: a rule of thumb


@dataclass(frozen=True)
class Backbone:
    """Parameters of the vision encoder and of the language model, bytes of a weight, and the size of the KV cache."""

    name: str
    vision: float
    language: float
    bytes_per_weight: float
    layers: int
    cached: int  # numbers in the cache of a layer for each token: 2 x key heads x head size


@dataclass(frozen=True)
class QueryKind:
    """A kind of query: how many, frames of each, text tokens of each prompt and each answer."""

    name: str
    queries: float
    frames: int
    prompt_tokens: float
    answer_tokens: float


BACKBONES = (
    Backbone("InternVL2-8B, bf16", 0.30e9, 7.7e9, 2, 32, 2 * 8 * 128),
    Backbone("InternVL2-26B, bf16", 5.5e9, 19.9e9, 2, 48, 2 * 8 * 128),
    Backbone("InternVL2-76B, int8", 5.5e9, 70.6e9, 1, 80, 2 * 8 * 128),
)
FRAMES = {"UCF-Crime": (290, 1_111_808), "XD-Violence": (800, 2_335_801)}
# Mean number of characters of the answers that the authors released: 91 for CoReVAD on UCF-Crime, for URF as below. A
# video ends within a segment, so half a segment is added for each. URF rates a segment at most twice.
CAPTION_CHARACTERS = {"UCF-Crime": 192, "XD-Violence": 276}


def query_kinds(data: str) -> dict[str, tuple[QueryKind, ...]]:
    """The queries of each method on a data set."""
    videos, frames = FRAMES[data]
    centres = frames / 16 + videos / 2
    caption = CAPTION_CHARACTERS[data] / CHARACTERS_PER_TOKEN
    return {
        "CoReVAD": (QueryKind("verdict", frames / 30 + videos / 2, 8, 150, 91 / CHARACTERS_PER_TOKEN),),
        "URF": (
            QueryKind("caption", centres, 10, 50, caption),
            QueryKind("rating", centres, 0, 100 + caption, 6),
            QueryKind("rerating, at most", centres, 0, 120 + caption, 6),
        ),
    }


def hours(backbone: Backbone, kind: QueryKind) -> tuple[float, float]:
    """Hours of prefill, which is bound by computing, and of decoding, which is bound by memory bandwidth."""
    context = kind.frames * TOKENS_PER_FRAME + kind.prompt_tokens
    flops = 2 * (backbone.vision * kind.frames * PATCHES + backbone.language * context)
    prefill = flops / (PEAK * PREFILL_EFFICIENCY)
    weights = backbone.language * backbone.bytes_per_weight / BATCH
    kv_cache = 2 * backbone.layers * backbone.cached * context
    decoding = kind.answer_tokens * (weights + kv_cache) / (BANDWIDTH * DECODE_EFFICIENCY)
    return kind.queries * prefill / 3600, kind.queries * decoding / 3600


def main() -> None:
    """Print the table."""
    print("| data | method | backbone | queries | visual tokens | text tokens | prefill, h | decoding, h | hours |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for data in FRAMES:
        for method, kinds in query_kinds(data).items():
            count = sum(kind.queries for kind in kinds)
            visual = sum(kind.queries * kind.frames * TOKENS_PER_FRAME for kind in kinds)
            text = sum(kind.queries * (kind.prompt_tokens + kind.answer_tokens) for kind in kinds)
            for backbone in BACKBONES:
                prefill, decoding = (sum(part) for part in zip(*(hours(backbone, kind) for kind in kinds), strict=True))
                counts = f"{count / 1e3:.0f} k | {visual / 1e6:.0f} M | {text / 1e6:.0f} M"
                times = f"{prefill:.1f} | {decoding:.1f} | **{prefill + decoding:.1f}**"
                print(f"| {data} | {method} | {backbone.name} | {counts} | {times} |")


if __name__ == "__main__":
    main()
