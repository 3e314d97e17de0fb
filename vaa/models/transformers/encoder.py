"""CLIP and SigLIP checkpoints as encoders of frames and texts."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa import process
from vaa.errors import VaaError, VideoError
from vaa.models.base import LocalWeights, Requirements, libraries
from vaa.models.checkpoints.files import checkpoint_identity
from vaa.models.transformers import loading
from vaa.models.transformers.pooling import Piece, means
from vaa.types import EmbedQuery, Floats, NoAnswer
from vaa.video import prefetch, sources
from vaa.video.prefetch import DecodePool, WaitTimer, WorkerLost
from vaa.video.resize import resize_frames, resized_by

log = logging.getLogger("vaa")

_WORTH = 3  # so many pieces are worth other processes
_LEAST = 16
"""Rows a CPU is given at once: it multiplies a few of them otherwise, with other last bits, and what is said of a frame
or a text would hang on what else was in its batch."""


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any

    @property
    def steady(self) -> bool:
        """Whether the last bits can be made to hang on nothing else: on a GPU they cannot."""
        return str(self.model.device) == "cpu"


@dataclass(frozen=True)
class ClipEncoder:
    """A CLIP or SigLIP model: L2-normalised features; a segment's is the mean over its frames, not normalised again.

    Frames are squashed to the model's square by `resample` (bicubic, bilinear) and normalised with `mean` and `std`:
    fields, since CoReVAD's authors use ImageNet's statistics, not CLIP's. `resize` does it: pil, or torch, which is
    many times sooner and a grey level off in one or two of a thousand values. `batch_size` counts frames, or texts; of
    a segment's frames every `stride`-th counts; `workers` processes decode beside the model, null: as many as the
    machine has to spare.
    """

    checkpoint: str
    revision: str | None
    dtype: str
    device_map: str
    mean: Sequence[float]
    std: Sequence[float]
    resample: str
    batch_size: int
    decoder: str
    stride: int
    workers: int | None
    resize: str

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision and how frames are prepared."""
        name = checkpoint_identity(self.checkpoint, self.revision)
        every = f" every {self.stride}" if self.stride > 1 else ""
        made = f"{self.resample}{every}{resized_by(self.resize)}"
        return f"{name} {self.dtype} mean {list(self.mean)} std {list(self.std)} {made}"

    def __hash__(self) -> int:
        return hash((self.checkpoint, self.revision, self.dtype, self.device_map, *self.mean, *self.std))

    def embed(self, queries: Sequence[EmbedQuery]) -> Iterator[Floats | NoAnswer]:
        """Vectors of shape (d,) in order; a text that is empty has the zero vector (CoReVAD)."""
        watch, frames = WaitTimer(), sum(len(query.frames) for query in queries)
        wanted = prefetch.spare() if self.workers is None else self.workers
        worth = frames > _WORTH * self.stride * self.batch_size
        look = partial(_look, self._load().model.config.vision_config.image_size, self)
        with DecodePool(look, wanted if worth else 0, prefetch.DECODE_TIMEOUT) as feeder:
            features = partial(self._features, feeder, watch)
            for shown, group in groupby(queries, key=lambda query: query.video if query.frames else None):
                if shown is None:
                    yield from self._texts([query.text for query in group])
                else:
                    yield from means([*group], self.stride, self.batch_size, features)
        if frames:
            log.info("%s", watch.told(sum(bool(query.frames) for query in queries), "segments"))

    @property
    def requirements(self) -> Requirements:
        """Its weights and the decoder."""
        weights = LocalWeights(
            checkpoint=self.checkpoint,
            revision=self.revision,
            device_map=self.device_map,
            dtype=self.dtype,
            quantization=None,
            attention="",
            batch_size=self.batch_size,
            image_processor=False,
        )
        return Requirements(name=self.checkpoint, weights=weights, libraries=libraries(self.decoder))

    def release(self) -> None:
        """Forget the weights."""
        if _loaded.pop(self, None):
            loading.free_memory()

    def _features(self, feeder: DecodePool[Piece], watch: WaitTimer, pieces: Sequence[Piece]) -> Iterator[Floats | str]:
        """Unit features (frames, d) of each piece of a video in order, or why it cannot be decoded."""
        import torch

        held, line, ahead = self._load(), deque[Any](), feeder.workers + 1
        for k in range(len(pieces) + ahead):
            if k < len(pieces):
                line.append(feeder.put(pieces[k]))
            if k < ahead:
                continue
            process.check_interrupted()
            with watch.waiting():
                made = feeder.take(line.popleft())
            if isinstance(made, WorkerLost):
                yield f"{pieces[0][0].path}: decoding it {made.reason}. Does it play?"
            elif made[1]:
                yield str(made[1])
            else:
                inputs = torch.from_numpy(made[0]["pixels"]).to(held.model.device, held.model.dtype)
                few = _LEAST - len(inputs) if held.steady else 0
                whole = torch.cat([inputs, inputs[:1].expand(few, -1, -1, -1)]) if few > 0 else inputs
                with torch.inference_mode():
                    yield _unit(held.model.get_image_features(pixel_values=whole))[: len(inputs)]

    def _texts(self, texts: Sequence[str]) -> Iterator[Floats]:
        held = self._load()
        for first in range(0, len(texts), self.batch_size):
            words = [" ".join(text.split()) for text in texts[first : first + self.batch_size]]
            said = [text for text in words if text]
            vectors = iter(self._text_features(held, said) if said else ())
            for text in words:
                yield next(vectors) if text else np.zeros(_dimensions(held.model.config), dtype=np.float32)

    def _text_features(self, held: _Loaded, texts: Sequence[str]) -> Floats:
        import torch

        siglip = held.model.config.model_type == "siglip"
        whole = [*texts, *([texts[0]] * max(0, _LEAST - len(texts)))] if held.steady else texts
        inputs = held.tokenizer(
            [text.lower() for text in whole] if siglip else whole,  # what it was trained with
            # A SigLIP takes a text's vector from the last place.
            padding="max_length" if siglip or held.steady else True,
            padding_side="right",
            truncation=True,
            max_length=held.model.config.text_config.max_position_embeddings,
            return_attention_mask=not siglip,  # it reads the padding too
            return_tensors="pt",
        ).to(held.model.device)
        with torch.inference_mode():
            return _unit(held.model.get_text_features(**inputs))[: len(texts)]

    def _load(self) -> _Loaded:
        if self not in _loaded:
            from transformers import AutoModel, AutoTokenizer

            options = loading.loading_options(self.device_map, self.dtype, "none")
            model = loading.load(AutoModel, self.checkpoint, self.revision, **options).eval()
            if model.config.model_type not in ("clip", "siglip"):
                raise VaaError(f"'{self.checkpoint}' is a {model.config.model_type}; an encoder is a CLIP or a SigLIP.")
            _loaded[self] = _Loaded(model, loading.load(AutoTokenizer, self.checkpoint, self.revision))
        return _loaded[self]


_loaded: dict[ClipEncoder, _Loaded] = {}


def _look(size: int, clip: ClipEncoder, piece: Piece) -> prefetch.Made:
    """Frames decoded and squashed; or no arrays, and the reason."""
    try:
        pixels = sources.frames(*piece, clip.decoder)
        sources.stop_readahead(piece[0], clip.decoder)  # what decord reads ahead while the model works fills the memory
    except VideoError as error:
        return {}, str(error)
    return {"pixels": resize_frames(pixels, (size, size), clip.resample, clip.resize, shades(clip.mean, clip.std))}, ""


def shades(mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """What becomes of each value of a byte in each channel, (3, 256)."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return (scaled - np.asarray(mean, dtype=np.float32)[:, None]) / np.asarray(std, dtype=np.float32)[:, None]


def _dimensions(config: Any) -> int:
    """The length of a vector."""
    return int(config.text_config.projection_size if config.model_type == "siglip" else config.projection_dim)


def _unit(output: Any) -> Floats:
    features = getattr(output, "pooler_output", output).float().cpu().numpy()
    return np.asarray(features / np.linalg.norm(features, axis=-1, keepdims=True), dtype=np.float32)
