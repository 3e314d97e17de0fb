"""A paper's evaluation protocol: which labels, whether the end of an interval is anomalous, in which precision."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaa.data.base import video_id
from vaa.errors import ConfigError, DataError, require_at_least, require_share
from vaa.evaluation.metric_set import MetricSet
from vaa.evaluation.roc import Labels
from vaa.types import Dataset, Floats, Report, ScoreTrack, Span, Video, local_path

log = logging.getLogger("vaa")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How scores are evaluated.

    `labels`: a JSON file in VERA's layout, or None for the data set's own labels. `end_inclusive`: whether the ends in
    that file are anomalous frames. `precision`: the float type of the scores. `pad`: the score of frames that no value
    covers. `smooth` and `transform`: what is done with the scores of a video for the metrics only: a Gaussian of this
    sigma in frames; sigmoid (VADTree: 1 / (1 + exp(-x)), 4 decimals) or minmax (to [0, 1] within each video, which
    looks at the whole test video and lets every normal one reach 1). `metrics`: further metric sets by name.
    """

    name: str
    labels: str | None
    end_inclusive: bool
    precision: str
    pad: float
    smooth: float
    transform: str
    metrics: Mapping[str, MetricSet]

    def __post_init__(self) -> None:
        require_share(pad=self.pad)
        require_at_least(0, smooth=self.smooth)
        if self.transform not in ("none", "sigmoid", "minmax"):
            raise ConfigError(f"protocol.transform={self.transform}: choose none, sigmoid or minmax.")
        if self.precision not in ("float16", "float32", "float64"):
            raise ConfigError(f"protocol.precision={self.precision}: choose float16, float32 or float64.")

    def missing_files(self) -> tuple[str, ...]:
        """A message about the label file, if there should be one and there is none."""
        if self.labels is None or local_path(self.labels).is_file():
            return ()
        return (f"protocol.labels={self.labels}: no such file. VERA's: python -m vaa.data.fetch vera DIR --commit ...",)

    def spans(self, dataset: Dataset) -> dict[str, tuple[Span, ...]]:
        """Video -> its annotated intervals, from the protocol's own label file if it has one.

        Raises:
            DataError: the label file lacks videos or cannot be read.
        """
        if self.labels is None or not dataset.truths:
            return {video: truth.spans for video, truth in dataset.truths.items()}
        annotations = read_labels(local_path(self.labels))
        missing = [video.id for video in dataset.videos if video.id not in annotations]
        if missing:
            raise DataError(f"protocol.labels={self.labels}: no label for {len(missing)} videos, first {missing[0]}.")
        other = [v.id for v in dataset.videos if abs(annotations[v.id].n_frames - v.n_frames) > 1]
        if other:
            log.warning("%d videos have another length in %s: %s", len(other), self.labels, ", ".join(other))
        return {
            video.id: tuple(Span(a, b + self.end_inclusive, "") for a, b in annotations[video.id].intervals)
            for video in dataset.videos
        }

    def frame_labels(self, video: Video, spans: tuple[Span, ...]) -> Labels:
        """Shape (frames,): which frames are anomalous; intervals are cut at the video's end."""
        labels = np.zeros(video.n_frames, dtype=np.bool_)
        for span in spans:
            labels[span.start : span.stop] = True
        return labels

    def frame_scores(self, report: Report) -> Floats:
        """Shape (frames,): each value from its start to the next one's, `pad` where there is none.

        Raises:
            ConfigError: a score is NaN or infinite; some stage has to replace it.
        """
        if report.track is None or not np.isfinite(report.track.values).all():
            raise ConfigError(f"{report.video.id}: scores that are not finite are left after the last stage.")
        return self.expand(report.video, report.track)

    def counted_scores(self, scores: Floats) -> Floats:
        """The scores of a video, shape (frames,), as the metrics count them."""
        if self.smooth:
            from scipy.ndimage import gaussian_filter1d

            scores = gaussian_filter1d(scores.astype(np.float64), self.smooth)
        if self.transform == "sigmoid":
            return np.asarray(np.round(1 / (1 + np.exp(-scores.astype(np.float64))), 4))
        if self.transform == "minmax" and len(scores):
            lowest, highest = scores.min(), scores.max()
            return np.asarray((scores - lowest) / (highest - lowest) if highest > lowest else np.zeros_like(scores))
        return scores

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


@dataclass(frozen=True, kw_only=True)
class VideoLabel:
    """What a label file says about a video: pairs of start and end; `n_frames` is 0 where it does not say."""

    n_frames: int
    intervals: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return f"{list(self.intervals)} of {self.n_frames} frames"


def read_labels(file: Path) -> dict[str, VideoLabel]:
    """The labels by video of a list of {"video", "temporal_label": [start, end, ...], "length"} (VERA, CoReVAD).

    Equal entries of a video count once. In VERA's `xd_annotations.json` 14 videos occur twice, once with intervals and
    length 0, once with a length and no interval: these are joined, which gives the labels of CoReVAD's file.

    Raises:
        DataError: the file is not in this layout, or two entries of a video contradict each other.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"protocol.labels={file}: not a JSON file: {error}") from error
    if not isinstance(entries, list):
        raise DataError(f"protocol.labels={file}: expected a list of videos with temporal_label and length.")
    labels: dict[str, VideoLabel] = {}
    positions: dict[str, str] = {}
    joined: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            id_, label = video_id(entry["video"]), _parse_label(entry)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(f"protocol.labels={file}: entry {number} is not in VERA's layout: {error!r}") from error
        position = f"entry {number} ({entry['video']!r})"
        known = labels.setdefault(id_, label)
        if known != label:
            if (both := _join(known, label)) is None:
                raise DataError(
                    f"protocol.labels={file}: {positions[id_]} and {position} are of one video and contradict each "
                    f"other: {known}, and {label}. Remove one."
                )
            labels[id_] = both
            joined.append(id_)
        positions.setdefault(id_, position)
    if joined:
        log.info("%s: %d videos occur twice, with intervals and with a length: joined.", file, len(joined))
    return labels


def _parse_label(entry: Mapping[str, Any]) -> VideoLabel:
    times = [int(time) for time in entry["temporal_label"]]
    pairs = [(a, b) for a, b in zip(times[::2], times[1::2], strict=True) if a >= 0]
    if any(b < a for a, b in pairs):
        raise ValueError(f"an interval ends before its start: {pairs}")
    return VideoLabel(n_frames=int(entry["length"]), intervals=tuple(pairs))


def _join(one: VideoLabel, other: VideoLabel) -> VideoLabel | None:
    """The label of two entries of a video if one has only intervals and the other only a length, else None."""
    for intervals_only, length_only in ((one, other), (other, one)):
        if intervals_only.n_frames == 0 < length_only.n_frames and not length_only.intervals:
            return VideoLabel(n_frames=length_only.n_frames, intervals=intervals_only.intervals)
    return None
