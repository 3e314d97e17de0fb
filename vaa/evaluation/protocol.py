"""A paper's evaluation protocol: which labels, whether the end of an interval is anomalous, in which precision."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from vaa.data.base import VIDEO_SUFFIXES
from vaa.errors import ConfigError, DataError
from vaa.evaluation.roc import Labels
from vaa.types import Dataset, Floats, Report, ScoreTrack, Span, Video

log = logging.getLogger("vaa")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How scores are evaluated.

    `labels`: a JSON file in VERA's layout, or None for the data set's own labels. `end_inclusive`: the annotated end is
    anomalous. `precision`: the float type of the scores. `pad`: the score of frames that no value covers.
    """

    name: str
    labels: str | None
    end_inclusive: bool
    precision: str
    pad: float

    def __post_init__(self) -> None:
        if self.precision not in ("float16", "float32", "float64"):
            raise ConfigError(f"protocol.precision={self.precision}: choose float16, float32 or float64.")
        if self.labels is not None and not Path(self.labels).is_file():
            raise ConfigError(f"protocol.labels={self.labels}: no such file.")

    def spans(self, dataset: Dataset) -> dict[str, tuple[Span, ...]]:
        """Video -> its annotated intervals, from the protocol's own label file if it has one.

        Raises:
            DataError: the label file lacks videos or cannot be read.
        """
        if self.labels is None or not dataset.truths:
            return {video: truth.spans for video, truth in dataset.truths.items()}
        annotations = read_labels(Path(self.labels))
        missing = [video.id for video in dataset.videos if video.id not in annotations]
        if missing:
            raise DataError(f"protocol.labels={self.labels}: no label for {len(missing)} videos, first {missing[0]}.")
        other = [v.id for v in dataset.videos if abs(annotations[v.id][0] - v.n_frames) > 1]
        if other:
            log.warning("%d videos have another length in %s: %s", len(other), self.labels, ", ".join(other))
        return {video.id: annotations[video.id][1] for video in dataset.videos}

    def frame_labels(self, video: Video, spans: tuple[Span, ...]) -> Labels:
        """Shape (frames,): which frames are anomalous; intervals are cut at the video's end."""
        labels = np.zeros(video.n_frames, dtype=np.bool_)
        for span in spans:
            labels[span.start : span.end + self.end_inclusive] = True
        return labels

    def frame_scores(self, report: Report) -> Floats:
        """Shape (frames,): each value from its start to the next one's, `pad` where there is none.

        Raises:
            ConfigError: a score is NaN or infinite; some stage has to replace it.
        """
        if report.track is None or not np.isfinite(report.track.values).all():
            raise ConfigError(f"{report.video.id}: scores that are not finite are left after the last stage.")
        return self.expand(report.video, report.track)

    def expand(self, video: Video, track: ScoreTrack) -> Floats:
        """The scores of any track per frame; NaN stays NaN."""
        frames = track.per_frame(video.n_frames)
        if len(frames.values) == video.n_frames and frames.values.dtype == self.precision:
            return frames.values
        scores = np.full(video.n_frames, self.pad, dtype=self.precision)
        if len(frames.values):
            first = int(frames.starts[0])
            scores[first : first + len(frames.values)] = frames.values
        return scores


def intervals(labels: Labels) -> list[tuple[int, int]]:
    """The intervals [start, stop) of the frames that are true; `labels` has shape (frames,)."""
    edges = np.flatnonzero(np.diff(labels, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def read_labels(file: Path) -> dict[str, tuple[int, tuple[Span, ...]]]:
    """Video -> (frames, intervals) of a list of {"video", "temporal_label": [start, end, ...], "length"} (VERA).

    Raises:
        DataError: the file is not in this layout.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
        annotations: dict[str, tuple[int, tuple[Span, ...]]] = {}
        for entry in entries:
            name = PurePosixPath(entry["video"]).name
            stem = PurePosixPath(name).stem if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES else name
            times = [int(t) for t in entry["temporal_label"]]
            pairs = [(a, b) for a, b in zip(times[::2], times[1::2], strict=True) if a >= 0]
            if stem in annotations or any(b < a for a, b in pairs):
                raise ValueError(f"'{stem}' occurs twice, or has an interval whose end is before its start: {pairs}")
            annotations[stem] = (int(entry["length"]), tuple(Span(start=a, end=b, label="") for a, b in pairs))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"protocol.labels={file}: not a label file in VERA's layout: {error!r}") from error
    return annotations
