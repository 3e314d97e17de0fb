"""Models: frozen handles that answer queries. Each loads its weights at the first query, never before."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from vaa.types import XYXY, Answer, ChooseQuery, EmbedQuery, Floats, FramesQuery, GenerateQuery, NoAnswer, Query, Video

_log = logging.getLogger("vaa")


@runtime_checkable
class LLM(Protocol):
    """Answers text-only queries by generated text or by the probabilities of given choices."""

    @property
    def identity(self) -> str | None:
        """All settings that change an answer, as part of the cache key; None if answers must not be cached."""

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """The text generated for each query, in order. It may go on after `stop_pattern`: the pipeline cuts it."""

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """The probabilities of each query's choices, shape (choices,), in order."""

    def release(self) -> None:
        """Free the memory; the next query loads the weights again."""


@runtime_checkable
class VLM(LLM, Protocol):
    """Answers queries about the frames of a video too; every VLM is also an LLM."""

    @property
    def accepts_frames(self) -> bool:
        """True."""


@runtime_checkable
class Encoder(Protocol):
    """Embeds frames and texts into one space."""

    @property
    def identity(self) -> str | None:
        """All settings that change an embedding, as part of the cache key; None if they must not be cached."""

    def embed(self, queries: Sequence[EmbedQuery]) -> Iterator[Floats | NoAnswer]:
        """A vector of shape (d,) for each query, in order: the mean over its frames, or its text's embedding."""

    def release(self) -> None:
        """Free the memory; the next query loads the weights again."""


@runtime_checkable
class FrameEncoder(Encoder, Protocol):
    """An encoder of single frames: the vector of several is the mean of their own, so each is embedded once."""

    @property
    def stride(self) -> int:
        """Only every `stride`-th frame of a query counts; not part of the identity."""

    def embed_frames(self, queries: Sequence[FramesQuery]) -> Iterator[Floats | NoAnswer]:
        """The vectors of each query's frames, (frames, d), in order."""


Model = VLM | LLM | Encoder


def mean_vector(vectors: Floats) -> Floats:
    """The mean (d,) of vectors (n, d), as float32."""
    return np.asarray(vectors.mean(axis=0, dtype=np.float64), dtype=np.float32)


@runtime_checkable
class Locator(Protocol):
    """A VLM that gives boxes."""

    def check_boxes(self) -> None:
        """Check, without its weights, that it gives boxes.

        Raises:
            ConfigError: it was not trained to give boxes.
            ModelError: its checkpoint's config cannot be read.
        """

    def to_frame(self, video: Video, xyxy: XYXY) -> XYXY:
        """Convert a box from the model's coordinates to the pixels of the video's frames."""


@runtime_checkable
class HasTimestamps(Protocol):
    """A VLM whose prompts may have the times of frames."""

    @property
    def timestamps(self) -> bool:
        """Whether each frame is preceded by its time."""


@runtime_checkable
class CountsTokens(Protocol):
    """A model whose tokenizer is known."""

    def count_tokens(self, text: str) -> int:
        """The number of tokens of a text, without special tokens."""


@runtime_checkable
class HasWorkers(Protocol):
    """A model that prepares frames in `workers` other processes; None leaves their number open."""

    @property
    def workers(self) -> int | None:
        """Number of processes."""


@runtime_checkable
class GivesProbabilities(Protocol):
    """A model that declares whether it gives probabilities of choices."""

    @property
    def gives_probabilities(self) -> bool:
        """Whether `choose` can be used."""


@runtime_checkable
class ReplaysAnswers(Protocol):
    """A model that gives released answers, whatever the wording of the query is."""

    @property
    def replays_answers(self) -> bool:
        """True."""


Dtype = Literal["float32", "bfloat16", "float16"]
Quantization = Literal["none", "int8", "nf4", "fp4"]
Backend = Literal["transformers", "vllm"]
"""The library that runs a model on this machine."""


_METHODS = {GenerateQuery: "generate", ChooseQuery: "choose", EmbedQuery: "embed", FramesQuery: "embed_frames"}


def answer(model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
    """One answer per query, in order, by the method of the model that the query's type needs."""
    for kind, group in groupby(queries, key=type):
        method: Any = getattr(model, _METHODS[kind])
        yield from method(list(group))


@dataclass(frozen=True, kw_only=True)
class Library:
    """An optional Python module that a model imports, and what to do if it is not installed."""

    module: str
    remedy: str


_DECODERS = {
    "decord": Library(module="decord", remedy="pip install decord, or decoder=pyav"),
    "pyav": Library(module="av", remedy="pip install av, or decoder=decord"),
}
_BITSANDBYTES = Library(module="bitsandbytes", remedy="pip install bitsandbytes, or quantization=none")


def libraries(decoder: str | None = None, quantization: str = "none") -> tuple[Library, ...]:
    """The optional libraries of a video decoder and of a quantization."""
    decoders = (_DECODERS[decoder],) if decoder in _DECODERS else ()
    return decoders if quantization == "none" else (_BITSANDBYTES, *decoders)


@dataclass(frozen=True, kw_only=True)
class LocalWeights:
    """Weights that a model loads on this machine, and how.

    `quantization` is None for a model that cannot be quantized; with `image_processor` the checkpoint has to contain
    an image processor.
    """

    checkpoint: str
    revision: str | None
    device_map: str
    dtype: str
    quantization: str | None
    attention: str
    batch_size: int
    image_processor: bool


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a model needs to run. `name` is its checkpoint, its name at the server `url`, or a folder of answers."""

    name: str
    weights: LocalWeights | None = None
    url: str = ""
    libraries: tuple[Library, ...] = ()


@runtime_checkable
class HasRequirements(Protocol):
    """A model that declares its requirements; `doctor=true` compares them with the machine."""

    @property
    def requirements(self) -> Requirements:
        """What the model needs to run."""


@dataclass(frozen=True)
class WaitStats:
    """The seconds that `count` items took, of the kind `what`, and how many of these were spent waiting for frames."""

    count: int
    what: str
    seconds: float
    waited: float

    @classmethod
    def total(cls, parts: Sequence[WaitStats]) -> WaitStats:
        """The sums over several workers."""
        seconds, waited = sum(part.seconds for part in parts), sum(part.waited for part in parts)
        return cls(sum(part.count for part in parts), parts[0].what, seconds, waited)

    def __str__(self) -> str:
        share = self.waited / self.seconds if self.seconds else 0.0
        return f"{self.count} {self.what} in {self.seconds:.1f} s, {share:.0%} of it waiting for frames"

    def log(self, message: str = "%s") -> None:
        """Log it, and add it to the lists of `collect_waits`."""
        _log.info(message, self)
        for collected in _collected:
            collected.append(self)


_collected: list[list[WaitStats]] = []


@contextmanager
def collect_waits() -> Iterator[list[WaitStats]]:
    """A list of what models log within the `with` block."""
    waits: list[WaitStats] = []
    _collected.append(waits)
    try:
        yield waits
    finally:
        _collected.pop()
