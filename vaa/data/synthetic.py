"""The synthetic data set: surveillance videos with full ground truth, rendered and written as H.264 files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaa import synthetic
from vaa.errors import ConfigError
from vaa.synthetic.canvas import SIDE
from vaa.synthetic.events import EVENT_CLASSES
from vaa.synthetic.script import Event, Script, random_script, reference_answer, render
from vaa.types import Box, Dataset, GroundTruth, Pixels, Span, Video, local_path

log = logging.getLogger("vaa")
_SEEDS = {"train": 11, "val": 22, "test": 47}
"""With 47 every anomaly occurs among the 12 videos of the default test set."""
_ANOMALIES = (1, 0, 1, 2)
"""Number of anomalies of the videos, in turn."""


@dataclass(frozen=True, kw_only=True)
class SyntheticDataset:
    """`videos` videos of `seconds` each, `size` pixels square (a multiple of 64).

    They are rendered into `cache_dir` on first use. `root` has to be None: it is the folder of the other data sets,
    given by mistake where none of them was chosen.

    Raises:
        ConfigError: `root` is given, the split is unknown, the size is no multiple of 64, or there is no video of 10 s.
    """

    cache_dir: str
    root: str | None
    split: str
    videos: int
    seconds: float
    fps: float
    size: int

    def __post_init__(self) -> None:
        if self.root is not None:
            raise ConfigError(
                f"data.root={self.root}: data=synthetic renders its own videos and reads no folder. "
                f"Choose the data too: data=folder data.root={self.root} for your own videos."
            )
        if self.split not in _SEEDS:
            raise ConfigError(f"data.split={self.split}: choose one of {', '.join(_SEEDS)}.")
        if self.size % SIDE or self.size <= 0:
            raise ConfigError(f"data.size={self.size}: give a multiple of {SIDE}.")
        if self.videos < 1 or not self.fps > 0:
            raise ConfigError(f"data.videos={self.videos} must be at least 1 and data.fps={self.fps} above 0.")
        if not self.seconds >= 10:
            raise ConfigError(f"data.seconds={self.seconds}: give at least 10.")

    def load(self) -> Dataset:
        """The videos and their ground truth."""
        folder = local_path(self.cache_dir) / f"{self.split}-{self._fingerprint()}"
        if not folder.is_dir():
            self._write(folder)
        truths = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        videos = tuple(Video(id_, folder / f"{id_}.mp4", self._n_frames, self.fps) for id_ in truths)
        return Dataset("synthetic", videos, {id_: _parse_truth(fields) for id_, fields in truths.items()}, ())

    def expected_videos(self) -> tuple[Video, ...]:
        """The videos that `load` returns, without rendering them."""
        names = (f"{self.split}_{k}" for k in range(self.videos))
        return tuple(Video(name, Path(f"{name}.mp4"), self._n_frames, self.fps) for name in names)

    @property
    def _n_frames(self) -> int:
        return round(self.seconds * self.fps)

    def _fingerprint(self) -> str:
        """A hash of the fields and of the code that renders, so that files of an older version are not used."""
        sources = [*sorted(Path(synthetic.__file__).parent.glob("*.py")), Path(__file__)]
        code = b"".join(file.read_bytes() for file in sources)
        fields = json.dumps({**asdict(self), "cache_dir": ""}).encode()
        return hashlib.blake2b(fields + code, digest_size=6).hexdigest()

    def _write(self, folder: Path) -> None:
        log.info("Rendering %d synthetic videos of %.0f s into %s.", self.videos, self.seconds, folder)
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        temporary.mkdir(parents=True)
        truths = {}
        for index in range(self.videos):
            rng = np.random.default_rng([_SEEDS[self.split], index])
            script = random_script(rng, self.seconds, _ANOMALIES[index % len(_ANOMALIES)])
            id_ = f"{self.split}_{index:02d}"
            truths[id_] = asdict(self._write_video(script, rng, temporary / f"{id_}.mp4"))
        (temporary / "truth.json").write_text(json.dumps(truths), encoding="utf-8")
        try:
            temporary.rename(folder)
        except OSError:  # another process has finished first
            shutil.rmtree(temporary)

    def _write_video(self, script: Script, rng: np.random.Generator, path: Path) -> GroundTruth:
        scale = self.size // SIDE
        frames: list[Pixels] = []
        boxes: list[Box] = []
        for number in range(self._n_frames):
            frame = render(script, number / self.fps, int(rng.integers(1464)))
            frames.append(frame.pixels.repeat(scale, axis=0).repeat(scale, axis=1))
            if frame.box:
                x1, y1, x2, y2 = (float(edge * scale) for edge in frame.box)
                boxes.append(Box(number, (x1, y1, x2, y2), 1.0))
        encode(path, frames, self.fps)
        anomalies = [event for event in script.events if EVENT_CLASSES[event.class_name].anomalous]
        spans = tuple(self._span(event) for event in anomalies)
        times = [[event.start, event.stop - 0.1] for event in anomalies] or [list(np.arange(0, script.seconds, 0.5))]
        text = " ".join(reference_answer(script, each).description for each in times)
        return GroundTruth(spans, spans[0].label if spans else "Normal", tuple(boxes), text)

    def _span(self, event: Event) -> Span:
        first, stop = np.ceil(event.start * self.fps), np.ceil(event.stop * self.fps)
        return Span(int(first), int(min(stop, self._n_frames)), event.class_name)


def encode(path: Path, frames: list[Pixels], fps: float) -> None:
    """Write frames (height, width, 3) as H.264, with a key frame every 30."""
    import av

    height, width, _ = frames[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=round(fps), options={"crf": "20", "preset": "veryfast", "g": "30"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _parse_truth(fields: dict[str, Any]) -> GroundTruth:
    spans = tuple(Span(**span) for span in fields["spans"])
    boxes = tuple(Box(box["frame"], tuple(box["xyxy"]), box["score"]) for box in fields["boxes"])
    return GroundTruth(spans, fields["label"], boxes, fields["text"])
