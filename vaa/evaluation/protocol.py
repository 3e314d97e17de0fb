"""A paper's way of counting: whose labels, whether an interval's end belongs to it, in which precision, which AP."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from vaa.data.base import VIDEO_SUFFIXES
from vaa.errors import VaaError
from vaa.evaluation.detection import Labels, detection
from vaa.types import Dataset, Floats, Report, ScoreTrack, Span, Video

log = logging.getLogger("vaa")


@dataclass(frozen=True)
class Protocol:
    """How scores are counted.

    `labels`: a JSON file in VERA's layout, or None for the data set's own. `end_inclusive`: the annotated end is
    anomalous. `ap`: which of pr_auc (trapezoid) and average_precision (step) is the paper's. `precision`: the float
    type scores are held in. `pad`: the score of frames that no value covers.
    """

    name: str
    labels: str | None
    end_inclusive: bool
    ap: str
    precision: str
    pad: float

    def __post_init__(self) -> None:
        if self.ap not in ("pr_auc", "average_precision"):
            raise VaaError(f"protocol.ap={self.ap}: choose pr_auc or average_precision.")
        if self.precision not in ("float16", "float32", "float64"):
            raise VaaError(f"protocol.precision={self.precision}: choose float16, float32 or float64.")
        if self.labels is not None and not Path(self.labels).is_file():
            raise VaaError(f"protocol.labels={self.labels}: no such file.")

    def evaluate(self, dataset: Dataset, reports: Mapping[str, Report]) -> dict[str, float]:
        """The detection metrics of the videos that have labels and a track; empty where there is none."""
        spans = self.spans(dataset)
        scored = [r for r in reports.values() if r.track is not None and r.video.id in spans]
        if not scored:
            return {}
        labels = [self.frame_labels(report.video, spans[report.video.id]) for report in scored]
        numbers = detection(labels, [self.frame_scores(report) for report in scored])
        return numbers | {"ap": numbers[self.ap], "videos": len(scored), "frames": sum(map(len, labels))}

    def spans(self, dataset: Dataset) -> dict[str, tuple[Span, ...]]:
        """Video -> its annotated intervals, from the protocol's own labels if it has them.

        Raises:
            VaaError: the label file lacks videos, or disagrees on their length by more than a frame.
        """
        if self.labels is None or not dataset.truths:
            return {video: truth.spans for video, truth in dataset.truths.items()}
        known = read_labels(Path(self.labels))
        lacking = [video.id for video in dataset.videos if video.id not in known]
        if lacking:
            raise VaaError(f"protocol.labels={self.labels}: no label for {len(lacking)} videos, first {lacking[0]}.")
        other = [v.id for v in dataset.videos if abs(known[v.id][0] - v.n_frames) > 1]
        if other:
            log.warning("%d videos have another length in %s: %s", len(other), self.labels, ", ".join(other))
        return {video.id: known[video.id][1] for video in dataset.videos}

    def frame_labels(self, video: Video, spans: tuple[Span, ...]) -> Labels:
        """Shape (frames,): which frames are anomalous; intervals are cut at the video's end."""
        labels = np.zeros(video.n_frames, dtype=np.bool_)
        for span in spans:
            labels[span.start : span.end + self.end_inclusive] = True
        return labels

    def frame_scores(self, report: Report) -> Floats:
        """Shape (frames,): each value from its start to the next one's, `pad` where none holds.

        Raises:
            VaaError: a score is not a number; some stage has to say what stands in for it.
        """
        if report.track is None or not np.isfinite(report.track.values).all():
            raise VaaError(f"{report.video.id}: scores that are no numbers are left after the last stage.")
        return self.spread(report.video, report.track)

    def spread(self, video: Video, track: ScoreTrack) -> Floats:
        """The same of any track; what is no number stays none."""
        frames = track.per_frame(video.n_frames)
        if len(frames.values) == video.n_frames and frames.values.dtype == self.precision:
            return frames.values
        scores = np.full(video.n_frames, self.pad, dtype=self.precision)
        if len(frames.values):
            first = int(frames.starts[0])
            scores[first : first + len(frames.values)] = frames.values
        return scores


def read_labels(file: Path) -> dict[str, tuple[int, tuple[Span, ...]]]:
    """Video -> (frames, intervals) of a list of {"video", "temporal_label": [start, end, ...], "length"} (VERA).

    Raises:
        VaaError: the file is not in this layout.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
        found: dict[str, tuple[int, tuple[Span, ...]]] = {}
        for entry in entries:
            name = PurePosixPath(entry["video"]).name
            stem = PurePosixPath(name).stem if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES else name
            times = [int(t) for t in entry["temporal_label"]]
            pairs = [(a, b) for a, b in zip(times[::2], times[1::2], strict=True) if a >= 0]
            if stem in found or any(b < a for a, b in pairs):
                raise ValueError(f"'{stem}' comes a second time, or has an interval that is reversed: {pairs}")
            found[stem] = (int(entry["length"]), tuple(Span(a, b, "") for a, b in pairs))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise VaaError(f"protocol.labels={file}: not a label file in VERA's layout: {error!r}") from error
    return found
