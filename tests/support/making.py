"""Small objects for several tests: a clip, a tokenizer, models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WORDS = "Anomalous Normal scenes a person walks runs fights in the street car Frame what happens here"
IMAGE_TOKENS = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}


def make_clip(path: Path, n_frames: int, fps: int = 10, size: tuple[int, int] = (96, 64)) -> Path:
    """An H.264 clip in which all frames differ: a bright square moves over a background that gets brighter."""
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(n_frames):
            picture = np.full((height, width, 3), 20 + 2 * (k % 60), dtype=np.uint8)
            x = (3 * k) % (width - 16)
            picture[10:26, x : x + 16] = (250, 240 - 3 * (k % 60), 30)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_timed(path: Path, milliseconds: Sequence[int]) -> Path:
    """An H.264 clip whose frames are shown at these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k, time in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), k % 256, dtype=np.uint8), format="rgb24")
            frame.time_base, frame.pts = Fraction(1, 1000), time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@dataclass(frozen=True)
class UnusedModel:
    """A model that must not be queried."""

    identity: str | None = None
    accepts_frames: bool = True

    def generate(self, queries: object) -> object:
        raise AssertionError("a stage must not query its model")

    def choose(self, queries: object) -> object:
        raise AssertionError("a stage must not query its model")

    def embed(self, queries: object) -> object:
        raise AssertionError("a stage must not query its model")

    def release(self) -> None: ...


def recorded_model(root: Path | str = "nowhere", **choices: Any) -> Any:
    """A RecordedModel that chooses only the given files or folders."""
    from vaa.models.recorded import RecordedModel

    fields = (
        *("verdict", "captions", "scores", "refined_scores", "localisation", "understanding"),
        *("resized_size", "frame_size"),
    )
    return RecordedModel(root=str(root), **{**dict.fromkeys(fields), **choices})


def make_tokenizer(*, end_of_text: bool = False) -> Any:
    """Byte-level BPE over a few words, with InternVL's image tokens and a chat template.

    With `end_of_text` it adds the end token to each text, as CLIP's does.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<end>", "<user>", "<assistant>", "<system>", *IMAGE_TOKENS.values()]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator([WORDS] * 3, trainer)
    if end_of_text:
        bpe.post_processor = processors.TemplateProcessing(
            single="$A <end>", special_tokens=[("<end>", bpe.token_to_id("<end>"))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="<end>", extra_special_tokens=dict(IMAGE_TOKENS)
    )
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    return tokenizer
