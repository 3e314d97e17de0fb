"""Every metric set against a plain statement of its formula on 200 random cases, and over resamples of the videos."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from numpy.random import Generator
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from vaa.evaluation import metric_sets
from vaa.evaluation.alarms import Delays, FalseAlarmRate
from vaa.evaluation.event_f1 import EventF1
from vaa.evaluation.event_rule import EventRule
from vaa.evaluation.macro import MacroAuc
from vaa.evaluation.metric_set import EvaluatedVideo, MetricSet, compute, compute_once
from vaa.evaluation.pixels import PixelAuc
from vaa.evaluation.protocol import intervals
from vaa.evaluation.regions import RegionsAndTracks
from vaa.evaluation.temporal_map import TemporalMap
from vaa.evaluation.video_groups import AnomalousVideos, VideosOfClass
from vaa.types import Box, DefinitionTrack, GroundTruth, Report, ScoreTrack, Span, Video

CASES = 200
CLASSES = ("Fall", "Fire", "Normal")
TIOUS = (0.2, 0.5)
Videos = Sequence[EvaluatedVideo]


class Masks:
    """Pixel masks of shape (frames, height, width)."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def frame(self, number: int) -> np.ndarray:
        mask: np.ndarray = self.values[number]
        return mask


def random_video(rng: Generator, name: str) -> EvaluatedVideo:
    """Scores with ties, one or two events in most videos, boxes with tracks, masks, scores of three definitions."""
    n = int(rng.integers(28, 56))
    labels = np.zeros(n, dtype=bool)
    for _ in range(int(rng.integers(0, 3))):
        start = int(rng.integers(0, n - 4))
        labels[start : start + int(rng.integers(2, 20))] = True
    scores = np.clip(np.repeat(rng.random(n), 3)[:n].round(1) * 0.7 + labels * 0.3 * rng.random(), 0, 1).round(2)
    spans = tuple(Span(start, stop, str(rng.choice(CLASSES[:2]))) for start, stop in intervals(labels))
    tracks = tuple(DefinitionTrack(c, ScoreTrack(rng.random(n).round(2), np.arange(n))) for c in CLASSES)

    def boxes(count: int, tracked: bool) -> tuple[Box, ...]:
        made = []
        for _ in range(count):
            x, y, w, h = (int(value) for value in rng.integers(0, 6, 4))
            track = int(rng.integers(0, 3)) if tracked else None
            score = 1.0 if tracked else round(float(rng.random()), 1)
            made.append(Box(int(rng.integers(0, n)), (float(x), float(y), float(x + w), float(y + h)), score, track))
        return tuple(made)

    mask = (rng.random((n, 6, 6)) < 0.2) & labels[:, None, None]
    video = Video(name, Path(name), n, 10.0)
    report = Report(video, boxes=boxes(25, tracked=False), definition_tracks=tracks)
    truth = GroundTruth(spans, spans[0].label if spans else "Normal", boxes(12, tracked=True), masks=Masks(mask))
    return EvaluatedVideo(report=report, truth=truth, labels=labels, scores=scores)


def cases() -> list[list[EvaluatedVideo]]:
    rng = np.random.default_rng(12)
    return [[random_video(rng, f"v{k}") for k in range(int(rng.integers(2, 5)))] for _ in range(CASES)]


@pytest.fixture(scope="module")
def random_cases() -> list[list[EvaluatedVideo]]:
    return cases()


def roc(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """The share of pairs in the right order, ties counting half."""
    y, s = np.array(labels, dtype=bool), np.array(scores)
    above, below = s[y][:, None], s[~y][None, :]
    return float(np.mean((above > below) + 0.5 * (above == below)))


def areas(videos: Videos) -> tuple[float, float]:
    """ROC AUC and the area under the precision-recall curve by trapezoids, by scikit-learn."""
    y, s = np.concatenate([v.labels for v in videos]), np.concatenate([v.scores for v in videos])
    if y.all() or not y.any():
        return math.nan, math.nan
    precision, recall, _ = precision_recall_curve(y, s)
    return float(roc_auc_score(y, s)), float(auc(recall, precision))


def plain_macro(videos: Videos) -> dict[str, float]:
    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else math.nan

    both = [v for v in videos if v.labels.any() and not v.labels.all()]

    def padded(end: float) -> float:
        return mean([roc([False, *v.labels, True], [0.0, *v.scores, end]) for v in videos])

    return {
        "macro_auc": mean([roc(v.labels, v.scores) for v in both]),
        "macro_auc_padded_one": padded(1.0),
        "macro_auc_padded_max": padded(1e300),
    }


def plain_anomalous(videos: Videos) -> dict[str, float]:
    own = [v for v in videos if v.labels.any()]
    return dict(zip(("anomalous_roc_auc", "anomalous_pr_auc"), areas(own), strict=True)) if own else {}


def plain_classes(videos: Videos) -> dict[str, float]:
    values = {}
    for name in sorted({v.truth.label for v in videos if v.labels.any()}):
        own = [v for v in videos if v.labels.any() and v.truth.label == name]
        values[f"within_class_roc_auc/{name}"], values[f"within_class_pr_auc/{name}"] = areas(own)
    return values


def plain_false_alarms(videos: Videos) -> dict[str, float]:
    normal = [score > 0.5 for v in videos if not v.labels.any() for score in v.scores]
    return {
        "false_alarm_rate": float(np.mean(normal)) if normal else math.nan,
        "score_lowest": min(min(v.scores) for v in videos),
        "score_highest": max(max(v.scores) for v in videos),
    }


def runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last index of each run of true values."""
    found, at = [], 0
    for value, group in groupby(flags):
        length = len(list(group))
        if value:
            found.append((at, at + length - 1))
        at += length
    return found


def plain_vote(scores: Sequence[float], threshold: float) -> list[bool]:
    """2604.09327's rule, a loop over windows."""
    smooth = np.array(scores, dtype=float)
    for sigma in range(1, 7):
        smooth = gaussian_filter1d(smooth, sigma)
    high = [bool(value > threshold) for value in smooth]
    out = [False] * len(high)
    end = 6
    for start in range(0, len(high) - 23, 6):
        vote = sum(high[start : start + 24]) > 12
        for frame in range(start + 6, start + 12):
            out[frame] = vote
        end = start + 12
    rest = high[end:]
    out[end:] = [sum(rest) > len(rest) / 2] * len(rest)
    for first, last in runs(out):
        if last - first + 1 <= 6:
            out[first : last + 1] = [False] * (last - first + 1)
    return out


def plain_events(videos: Videos) -> dict[str, float]:
    values, precisions = {}, []
    for tiou in TIOUS:
        hits = predicted_total = true_total = 0
        for v in videos:
            predicted, true = runs(plain_vote(v.scores, 0.48)), runs(v.labels)
            predicted_total, true_total = predicted_total + len(predicted), true_total + len(true)
            used: set[int] = set()
            for a, b in true:
                best, best_iou = None, -1.0
                for k, (c, d) in enumerate(predicted):
                    shared = max(0, min(b, d) - max(a, c) + 1)
                    iou = shared / (b - a + 1 + d - c + 1 - shared)
                    if k not in used and iou > best_iou:
                        best, best_iou = k, iou
                if best is not None and best_iou >= tiou:
                    used.add(best)
                    hits += 1
        values[f"event_precision/{tiou}"] = hits / predicted_total if predicted_total else math.nan
        values[f"event_recall/{tiou}"] = hits / true_total if true_total else math.nan
        both = predicted_total + true_total
        values[f"event_f1/{tiou}"] = 2 * hits / both if both else math.nan
        precisions.append(values[f"event_precision/{tiou}"])
    return values | {"event_mean_precision": float(np.mean(precisions))}


def plain_delays(videos: Videos) -> dict[str, float]:
    values = {}
    for threshold, suffix in ((0.5, ""), (0.3, "/0.3")):
        delays, events, false, hours = [], 0, 0, 0.0
        for v in videos:
            alarmed = [score >= threshold for score in v.scores]
            for first, last in runs(v.labels):
                events += 1
                hit = next((frame for frame in range(first, last + 1) if alarmed[frame]), None)
                if hit is not None:
                    delays.append((hit - first) / 10.0)
            false += sum(not any(v.labels[a : b + 1]) for a, b in runs(alarmed))
            hours += sum(not label for label in v.labels) / 10.0 / 3600
        values[f"delay_median_s{suffix}"] = median(delays) if delays else math.nan
        values[f"delay_mean_s{suffix}"] = float(np.mean(delays)) if delays else math.nan
        values[f"missed_share{suffix}"] = (events - len(delays)) / events if events else math.nan
        values[f"false_alarms_per_hour{suffix}"] = false / hours if hours else math.nan
    return values


def plain_map(videos: Videos) -> dict[str, float]:
    """VadCLIP's count, class by class."""

    def average_precision(name: str, tiou: float) -> float | None:
        rows, true = [], 0
        left = []
        for number, v in enumerate(videos):
            track = next(t.track.values for t in v.report.definition_tracks if t.name == name)
            top = np.sort(track)[-(len(track) // 16) :]  # NumPy's sum, since equal scores are ranked by their order
            bound = max(track) - 0.6 * (max(track) - min(track))
            for first, last in runs([value > bound for value in track]):
                if last + 1 - first >= 2:
                    score = max(track[first : last + 1]) + 0.7 * float(np.mean(top))
                    rows.append((score, number, first, last + 1))
            left.append([(s.start, s.stop) for s in v.truth.spans if s.label == name])
            true += len(left[-1])
        if not rows:
            return None
        found, total = 0, 0.0
        for rank, (_, number, a, b) in enumerate(sorted(rows, key=lambda row: -row[0]), 1):
            best, best_iou = None, 0.0
            for c, d in left[number]:
                shared = max(0, min(b, d) - max(a, c))
                iou = shared / (b - a + d - c - shared)
                if iou >= tiou and iou > best_iou:
                    best, best_iou = (c, d), iou
            if best is not None:
                left[number].remove(best)
                found += 1
                total += found / rank
        return total / true if true else 0.0

    values: dict[str, float] = {}
    for tiou in TIOUS:
        for key, names in (("map", CLASSES), ("map_anomalous", CLASSES[:2])):
            by_class = [average_precision(name, tiou) for name in names]
            known = [area for area in by_class if area is not None]
            values[f"{key}/{tiou}"] = 0.0 if None in by_class else float(np.mean(known))
    for key in ("map", "map_anomalous"):
        values[key] = float(np.mean([values[f"{key}/{tiou}"] for tiou in TIOUS]))
    return values


def plain_regions(videos: Videos) -> dict[str, float]:
    """RBDC and TBDC, box by box."""
    rows = sorted(
        ((k, box) for k, v in enumerate(videos) for box in sorted(v.report.boxes, key=lambda b: -b.score)),
        key=lambda row: -row[1].score,
    )
    frames = sum(len(v.labels) for v in videos)
    true = [(k, box) for k, v in enumerate(videos) for box in v.truth.boxes]
    lengths: dict[tuple[int, int | None], int] = {}
    for k, box in true:
        lengths[k, box.track] = lengths.get((k, box.track), 0) + 1
    counts = dict.fromkeys(lengths, 0)
    found: set[int] = set()
    false, points = 0, [(0.0, 0.0, 0.0)]
    for k, box in rows:
        matching = []
        for m, (j, other) in enumerate(true):
            a, b = box.xyxy, other.xyxy
            w, h = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
            shared = max(0.0, w) * max(0.0, h)
            sizes = [(e[2] - e[0] + 1) * (e[3] - e[1] + 1) for e in (a, b)]
            if j == k and other.frame == box.frame and shared / (sum(sizes) - shared) >= 0.1:
                matching.append(m)
        if not matching:
            false += 1
        for m in set(matching) - found:
            found.add(m)
            counts[true[m][0], true[m][1].track] += 1
        tracks = np.mean([counts[key] / lengths[key] >= 0.1 for key in lengths])
        points.append((false / frames, len(found) / len(true), float(tracks)))
    points = [point for point in points if point[0] <= 1]
    if points[-1][0] != 1:
        points.append((1.0, *points[-1][1:]))
    x, regions, tracks_found = zip(*points, strict=True)
    return {"rbdc": float(np.trapezoid(regions, x)), "tbdc": float(np.trapezoid(tracks_found, x))}


def plain_pixels(videos: Videos) -> dict[str, float]:
    """Both pixel AUCs, from maps of every frame; the first by trying each threshold."""
    maps, masks = [], []
    for v in videos:
        for frame in range(len(v.labels)):
            scores = np.zeros((6, 6))
            for box in v.report.boxes:
                if box.frame == frame:
                    for y in range(int(box.xyxy[1]), min(6, int(box.xyxy[3]) + 1)):
                        for x in range(int(box.xyxy[0]), min(6, int(box.xyxy[2]) + 1)):
                            scores[y, x] = max(scores[y, x], box.score)
            maps.append(scores)
            assert v.truth.masks is not None
            masks.append(v.truth.masks.frame(frame))
    labels = [mask.any() for mask in masks]
    if not any(labels) or all(labels):
        a = math.nan
    else:
        points = [(0.0, 0.0)]
        for threshold in sorted({float(value) for each in maps for value in each.flat}, reverse=True):
            pairs = list(zip(maps, masks, strict=True))
            hit = [np.mean(s[m] >= threshold) >= 0.4 for s, m in pairs if m.any()]
            alarm = [(s >= threshold).any() for s, m in pairs if not m.any()]
            points.append((float(np.mean(alarm)), float(np.mean(hit))))
        a = float(np.trapezoid([y for _, y in points], [x for x, _ in points]))
    y, s = np.concatenate([m.ravel() for m in masks]), np.concatenate([m.ravel() for m in maps])
    return {"pixel_auc_a": a, "pixel_auc_b": float(roc_auc_score(y, s)) if y.any() and not y.all() else math.nan}


SETS: Mapping[str, tuple[MetricSet, Callable[[Videos], dict[str, float]]]] = {
    "macro": (MacroAuc(), plain_macro),
    "anomalous": (AnomalousVideos(), plain_anomalous),
    "classes": (VideosOfClass(), plain_classes),
    "false alarms": (FalseAlarmRate(threshold=0.5), plain_false_alarms),
    "events": (EventF1(rule=EventRule(threshold=0.48, vote=True), tious=TIOUS), plain_events),
    "delays": (Delays(rule=EventRule(threshold=0.5, vote=False), thresholds=(0.3,)), plain_delays),
    "mAP": (TemporalMap(tious=TIOUS, normal_whole=False), plain_map),
    "regions": (RegionsAndTracks(alpha=0.1, beta=0.1), plain_regions),
    "pixels": (PixelAuc(found=0.4), plain_pixels),
}


@pytest.mark.parametrize("name", SETS)
def test_a_metric_set_equals_its_formula(name: str, random_cases: list[list[EvaluatedVideo]]) -> None:
    metrics, plain = SETS[name]
    for number, videos in enumerate(random_cases):
        expected = plain(videos)
        assert compute_once(metrics, videos) == pytest.approx(expected, abs=1e-9, nan_ok=True), f"case {number}"


@pytest.mark.parametrize("name", SETS)
def test_a_resample_counts_a_video_as_often_as_it_is_drawn(name: str, random_cases: list[list[EvaluatedVideo]]) -> None:
    """Copies of a video tie, and mAP and regions rank them together: there, each is drawn once at most."""
    metrics, most = SETS[name][0], 1 if name in ("mAP", "regions") else 3
    for videos in random_cases[:20]:
        weights = np.random.default_rng(len(videos)).integers(0, most, (3, len(videos)), endpoint=True)
        weights[:, 0] = 1
        values = compute(metrics, videos, weights.astype(float))
        for k, row in enumerate(weights):
            drawn = [video for video, times in zip(videos, row, strict=True) for _ in range(times)]
            expected = compute_once(metrics, drawn)
            for key in expected:
                assert values[key][k] == pytest.approx(expected[key], abs=1e-9, nan_ok=True), key


def test_metric_sets_are_read_back_as_they_were_written() -> None:
    sets = {name: metrics for name, (metrics, _) in SETS.items()}
    assert metric_sets.decode(metric_sets.encode(sets)) == sets
