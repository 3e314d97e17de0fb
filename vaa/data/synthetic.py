"""The project's own small world as a data set: long surveillance clips written as real H.264 files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vaa import synthetic
from vaa.errors import VaaError
from vaa.synthetic.canvas import SIDE
from vaa.synthetic.kinds import KINDS
from vaa.synthetic.words import account
from vaa.synthetic.world import Event, Script, picture, script
from vaa.types import Box, Dataset, GroundTruth, Pixels, Span, Video

log = logging.getLogger("vaa")
_SEEDS = {"train": 11, "val": 22, "test": 47}
"""With 47 every anomaly occurs among the 12 videos of the default test set."""
_ANOMALIES = (1, 0, 1, 2)
"""How many anomalies the videos hold, in turn."""


@dataclass(frozen=True)
class SyntheticDataset:
    """`videos` clips of `seconds` each, `size` pixels square (a multiple of 64), written under `root` on first use."""

    root: str
    split: str
    videos: int
    seconds: float
    fps: float
    size: int

    def load(self) -> Dataset:
        """The clips and all that is known of them; an interval's end is its last frame.

        Raises:
            VaaError: an unknown split, or a size that is no multiple of 64.
        """
        if self.split not in _SEEDS:
            raise VaaError(f"data.split={self.split}: choose one of {', '.join(_SEEDS)}.")
        if self.size % SIDE or self.size <= 0 or self.seconds < 10:
            raise VaaError(
                f"data.size={self.size}, data.seconds={self.seconds}: a multiple of {SIDE}, and at least 10."
            )
        folder = Path(self.root) / f"{self.split}-{self._fingerprint()}"
        if not folder.is_dir():
            self._write(folder)
        told = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        videos = tuple(Video(name, folder / f"{name}.mp4", self._frames, self.fps) for name in told)
        return Dataset("synthetic", videos, {name: _truth(fields) for name, fields in told.items()}, ())

    @property
    def _frames(self) -> int:
        return round(self.seconds * self.fps)

    def _fingerprint(self) -> str:
        """Of the fields and of the code that draws: videos drawn by an older version are not taken for ours."""
        drawn_by = [*sorted(Path(synthetic.__file__).parent.glob("*.py")), Path(__file__)]
        code = b"".join(file.read_bytes() for file in drawn_by)
        fields = json.dumps({**asdict(self), "root": ""}).encode()
        return hashlib.blake2b(fields + code, digest_size=6).hexdigest()

    def _write(self, folder: Path) -> None:
        log.info("drawing %d synthetic videos of %.0f s into %s", self.videos, self.seconds, folder)
        building = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        building.mkdir(parents=True)
        told = {}
        for index in range(self.videos):
            rng = np.random.default_rng([_SEEDS[self.split], index])
            seen = script(rng, self.seconds, _ANOMALIES[index % len(_ANOMALIES)])
            name = f"{self.split}_{index:02d}"
            told[name] = asdict(self._film(seen, rng, building / f"{name}.mp4"))
        (building / "truth.json").write_text(json.dumps(told), encoding="utf-8")
        try:
            building.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(building)

    def _film(self, seen: Script, rng: np.random.Generator, path: Path) -> GroundTruth:
        scale = self.size // SIDE
        frames: list[Pixels] = []
        boxes: list[Box] = []
        for number in range(self._frames):
            shown = picture(seen, number / self.fps, int(rng.integers(1464)))
            frames.append(shown.pixels.repeat(scale, axis=0).repeat(scale, axis=1))
            if shown.box:
                x1, y1, x2, y2 = (float(edge * scale) for edge in shown.box)
                boxes.append(Box(number, (x1, y1, x2, y2), 1.0))
        encode(path, frames, self.fps)
        bad = [event for event in seen.events if KINDS[event.kind].anomalous]
        spans = tuple(self._span(event) for event in bad)
        moments = [[event.start, event.stop - 0.1] for event in bad] or [list(np.arange(0, seen.seconds, 0.5))]
        text = " ".join(account(seen, times).description for times in moments)
        return GroundTruth(spans, spans[0].label if spans else "Normal", tuple(boxes), text)

    def _span(self, event: Event) -> Span:
        first, last = np.ceil(event.start * self.fps), np.ceil(event.stop * self.fps) - 1
        return Span(int(first), int(min(last, self._frames - 1)), event.kind)


def encode(path: Path, frames: list[Pixels], fps: float) -> None:
    """Write frames (height, width, 3) as H.264, a key frame every 30."""
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


def _truth(fields: dict[str, object]) -> GroundTruth:
    told: dict[str, list[dict[str, object]]] = fields  # type: ignore[assignment]
    spans = tuple(Span(**span) for span in told["spans"])  # type: ignore[arg-type]
    boxes = tuple(
        Box(int(b["frame"]), tuple(b["xyxy"]), float(b["score"]))  # type: ignore[call-overload,arg-type]
        for b in told["boxes"]
    )
    return GroundTruth(spans, str(fields["label"]), boxes, str(fields["text"]))
