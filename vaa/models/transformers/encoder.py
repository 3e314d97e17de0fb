"""CLIP and SigLIP checkpoints as encoders of frames and texts, run by transformers in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError, ModelError, require_at_least
from vaa.models.base import Dtype, LocalWeights, Requirements, WaitStats, libraries, mean_vector
from vaa.models.checkpoints.weights import checkpoint_identity
from vaa.models.transformers.loading import free_memory, load, loading_options
from vaa.models.transformers.memory import CpuSharing
from vaa.types import DecoderName, EmbedQuery, Floats, FramesQuery, NoAnswer
from vaa.video.prefetch import FramePrefetcher, Frames, Prepared, PreparedBatch, default_workers
from vaa.video.resize import Resample, Resize, resize_frames, resize_identity

_MIN_BATCHES = 3
"""Batches of frames above which it is worth starting other processes."""
_MIN_CPU_ROWS = 16
"""Minimum CPU batch. Small matrix products round differently, so an embedding would depend on its batch."""


@dataclass(frozen=True, eq=False)
class _LoadedEncoder:
    model: Any
    tokenizer: Any

    @property
    def on_cpu(self) -> bool:
        """Whether padding makes results independent of the batch; on a GPU it does not."""
        return str(self.model.device) == "cpu"


@dataclass(frozen=True, kw_only=True)
class ClipEncoder:
    """A CLIP or SigLIP model with L2-normalised features; a segment's embedding is the mean over its frames.

    Attributes:
        checkpoint: A folder in Hugging Face format, or a name on the hub.
        revision: Branch, tag or commit on the hub; None for main.
        dtype: float32, bfloat16 or float16; or auto, which is float16 on a GPU and float32 on a CPU, as OpenAI's
            `clip.load` (CoReVAD). It is decided on the machine that computes the cache key.
        device_map: As accelerate takes it.
        mean: Mean of each colour channel. CoReVAD's code uses ImageNet's statistics, not CLIP's.
        std: Standard deviation of each colour channel.
        resample: bicubic or bilinear; frames are resized to the model's square, ignoring aspect ratio.
        batch_size: Frames, or texts, per batch.
        decoder: The video decoder.
        stride: Only every `stride`-th frame of a segment is used.
        workers: Processes that prepare frames; None for as many as the machine has to spare.
        resize: The library that resizes frames: pil, or torch, which is several times faster and differs by 1 in one or
            two bytes of a thousand.
    """

    checkpoint: str
    revision: str | None
    dtype: Dtype | Literal["auto"]
    device_map: str
    mean: Sequence[float]
    std: Sequence[float]
    resample: Resample
    batch_size: int
    decoder: DecoderName
    stride: int
    workers: int | None
    resize: Resize

    def __post_init__(self) -> None:
        require_at_least(1, batch_size=self.batch_size, stride=self.stride)
        require_at_least(0, workers=self.workers)
        if not (len(self.mean) == len(self.std) == 3 and all(std > 0 for std in self.std)):
            raise ConfigError(f"mean={list(self.mean)}, std={list(self.std)}: give three numbers each, std above 0.")

    @property
    def precision(self) -> Dtype:
        """The float type that `dtype` means on this machine."""
        if self.dtype != "auto":
            return self.dtype
        return "float16" if self.device_map != "cpu" and _gpu_available() else "float32"

    @property
    def identity(self) -> str:
        """Checkpoint, revision, precision and preparation of frames."""
        name = checkpoint_identity(self.checkpoint, self.revision)
        frames = f"{self.resample}{resize_identity(self.resize)}"
        return f"{name} {self.precision} mean {list(self.mean)} std {list(self.std)} {frames}"

    @property
    def requirements(self) -> Requirements:
        """The weights and the decoder."""
        weights = LocalWeights(
            checkpoint=self.checkpoint,
            revision=self.revision,
            device_map=self.device_map,
            dtype=self.precision,
            quantization=None,
            attention="",
            batch_size=self.batch_size,
            image_processor=False,
        )
        return Requirements(name=self.checkpoint, weights=weights, libraries=libraries(self.decoder))

    def __hash__(self) -> int:
        return hash((self.checkpoint, self.revision, self.dtype, self.device_map, *self.mean, *self.std))

    def embed(self, queries: Sequence[EmbedQuery]) -> Iterator[Floats | NoAnswer]:
        """Yield vectors of shape (d,) in order; an empty text gives the zero vector (CoReVAD)."""
        groups = [list(group) for _, group in groupby(queries, key=lambda q: q.video if q.frames else None)]
        frames = [_frames_of(group, self.stride) for group in groups if group[0].frames]
        answers = self.embed_frames(frames) if frames else iter(())
        for group in groups:
            if not group[0].frames:
                yield from self._embed_texts(self._load(), [query.text for query in group])
                continue
            vectors, numbers = next(answers), _frames_of(group, self.stride).frames
            for query in group:
                yield _mean_of(vectors, np.searchsorted(numbers, query.frames[:: self.stride]))

    def embed_frames(self, queries: Sequence[FramesQuery]) -> Iterator[Floats | NoAnswer]:
        """Yield the vectors of each query's frames, (frames, d), in order."""
        start, loaded = time.perf_counter(), self._load()
        workers = default_workers() if self.workers is None else self.workers
        n_frames = sum(len(query.frames) for query in queries)
        prefetcher = FramePrefetcher[FramesQuery](
            prepare=partial(_prepare_frames, self, loaded.model.config.vision_config.image_size),
            decoder=self.decoder,
            workers=workers if n_frames > _MIN_BATCHES * self.batch_size else 0,
            readahead=False,  # it would fill the memory while the model is running
        )
        parts = [self._batches(query) for query in queries]
        with prefetcher, CpuSharing(loaded.model, prefetcher.busy):
            batches = prefetcher.stream([batch] for part in parts for batch in part)
            for part in parts:
                features = [_embed_frames(loaded, batch) for batch in islice(batches, len(part))]
                reason = next((each for each in features if isinstance(each, str)), None)
                yield np.concatenate(features) if reason is None else NoAnswer(reason)
        WaitStats(n_frames, "frames", time.perf_counter() - start, prefetcher.waited).log()

    def release(self) -> None:
        """Free the weights."""
        if _loaded.pop(self, None):
            free_memory()

    def _batches(self, query: FramesQuery) -> list[FramesQuery]:
        size, frames = self.batch_size, query.frames
        firsts = range(0, len(frames), size)
        return [replace(query, at=frames[first], frames=frames[first : first + size]) for first in firsts]

    def _embed_texts(self, loaded: _LoadedEncoder, texts: Sequence[str]) -> Iterator[Floats]:
        for first in range(0, len(texts), self.batch_size):
            batch = [" ".join(text.split()) for text in texts[first : first + self.batch_size]]
            nonempty = [text for text in batch if text]
            vectors = iter(_text_features(loaded, nonempty) if nonempty else ())
            for text in batch:
                yield next(vectors) if text else np.zeros(_dimensions(loaded.model.config), dtype=np.float32)

    def _load(self) -> _LoadedEncoder:
        if self not in _loaded:
            from transformers import AutoModel, AutoTokenizer

            options = loading_options(self.device_map, self.precision, "none")
            model = load(AutoModel, self.checkpoint, self.revision, **options).eval()
            if model.config.model_type not in ("clip", "siglip"):
                raise ModelError(
                    f"'{self.checkpoint}' is a {model.config.model_type}; an encoder is a CLIP or a SigLIP."
                )
            _loaded[self] = _LoadedEncoder(model, load(AutoTokenizer, self.checkpoint, self.revision))
        return _loaded[self]


_loaded: dict[ClipEncoder, _LoadedEncoder] = {}


def _gpu_available() -> bool:
    import torch

    return torch.cuda.is_available()


def byte_table(mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """The normalised value of each byte in each channel, (3, 256)."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return (scaled - np.asarray(mean, dtype=np.float32)[:, None]) / np.asarray(std, dtype=np.float32)[:, None]


def _frames_of(queries: Sequence[EmbedQuery], stride: int) -> FramesQuery:
    """The frames that queries about one video need, each once, ascending."""
    numbers = np.unique(np.concatenate([query.frames[::stride] for query in queries]))
    return FramesQuery(video=queries[0].video, at=int(numbers[0]), frames=tuple(numbers.tolist()))


def _mean_of(vectors: Floats | NoAnswer, rows: NDArray[np.int64]) -> Floats | NoAnswer:
    return vectors if isinstance(vectors, NoAnswer) else mean_vector(vectors[rows])


def _prepare_frames(
    encoder: ClipEncoder, size: int, queries: Sequence[FramesQuery], frames: Sequence[Frames]
) -> Prepared:
    """Resize and normalise the frames of one query."""
    table = byte_table(encoder.mean, encoder.std)
    return Prepared({"pixels": resize_frames(frames[0], (size, size), encoder.resample, encoder.resize, table)})


def _embed_frames(loaded: _LoadedEncoder, batch: PreparedBatch[FramesQuery]) -> Floats | str:
    """Unit features of a batch's frames, (frames, d); or why they cannot be decoded."""
    if batch.errors:
        return batch.errors[0]
    import torch

    pixels = torch.from_numpy(batch.prepared.arrays["pixels"]).to(loaded.model.device, loaded.model.dtype)
    padding = _MIN_CPU_ROWS - len(pixels) if loaded.on_cpu else 0
    padded = torch.cat([pixels, pixels[:1].expand(padding, -1, -1, -1)]) if padding > 0 else pixels
    with torch.inference_mode():
        output = loaded.model.get_image_features(pixel_values=padded)
        features = getattr(output, "pooler_output", output)[: len(pixels)]
        if features.dtype == torch.float16:  # CoReVAD normalises frames in half precision, texts in float32
            return np.asarray(torch.nn.functional.normalize(features, dim=-1).float().cpu().numpy())
        return _unit(features)


def _text_features(loaded: _LoadedEncoder, texts: Sequence[str]) -> Floats:
    """Unit features of texts, (texts, d)."""
    import torch

    siglip = loaded.model.config.model_type == "siglip"
    padded = [*texts, *([texts[0]] * max(0, _MIN_CPU_ROWS - len(texts)))] if loaded.on_cpu else texts
    inputs = loaded.tokenizer(
        [text.lower() for text in padded] if siglip else padded,  # SigLIP was trained on lower case
        # SigLIP takes a text's vector from the last position.
        padding="max_length" if siglip or loaded.on_cpu else True,
        padding_side="right",
        truncation=True,
        max_length=loaded.model.config.text_config.max_position_embeddings,
        return_attention_mask=not siglip,  # it attends to the padding too
        return_tensors="pt",
    ).to(loaded.model.device)
    with torch.inference_mode():
        return _unit(loaded.model.get_text_features(**inputs))[: len(texts)]


def _dimensions(config: Any) -> int:
    """The length of a vector."""
    return int(config.text_config.projection_size if config.model_type == "siglip" else config.projection_dim)


def _unit(output: Any) -> Floats:
    features = getattr(output, "pooler_output", output).float().cpu().numpy()
    return np.asarray(features / np.linalg.norm(features, axis=-1, keepdims=True), dtype=np.float32)
