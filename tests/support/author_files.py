"""Made-up results in the authors' layouts, and a data set for them; this uses nothing of vaa."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import roc_auc_score

WORDS = ("a", "man", "runs", "along", "the", "street", "hits", "another", "with", "bat", "while", "cars", "pass")


def write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def sentence(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, size=6)).capitalize()


def write_data_set(root: Path, rng: np.random.Generator, n_videos: int, longest: int = 2000) -> dict[str, int]:
    """Annotations in LAVAD's layout, half of the videos with an interval; returns video -> number of frames."""
    lengths = {f"v{k:03d}_x264": int(rng.integers(400, longest)) for k in range(n_videos)}
    spans = [f"{name}.mp4 Fight {n // 4} {n // 2} -1 -1" for name, n in list(lengths.items())[::2]]
    spans += [f"{name}.mp4 Normal -1 -1 -1 -1" for name in list(lengths)[1::2]]
    (root / "annotations").mkdir(parents=True)
    index = "".join(f"{name} 0 {n - 1} {1 + k % 2}\n" for k, (name, n) in enumerate(lengths.items()))
    (root / "annotations/test.txt").write_text(index)
    (root / "annotations/Temporal_Anomaly.txt").write_text("\n".join(spans))
    return lengths


def by_window(n_frames: int, values: Sequence[Any], step: int = 16) -> dict[str, Any]:
    return {str(at): value for at, value in zip(range(0, n_frames, step), values, strict=True)}


def statistics(scores: Mapping[str, float]) -> dict[str, Any]:
    """URF's score_filter.py: the windows of highest and lowest mean, and the two groups of scores."""
    frames = sorted(int(frame) for frame in scores)
    length = max(frames[-1] // 10, 300)
    means = []
    for start in frames:
        window = [scores[str(frame)] for frame in frames if start <= frame < start + length]
        means.append(sum(window) / len(window))
    best, worst = means.index(max(means)), means.index(min(means))
    values = np.array(list(scores.values()), dtype=np.float32)
    near = np.abs(values - means[best]) <= np.abs(values - means[worst])
    high, low = (float(group.mean()) if group.size else float(values.mean()) for group in (values[near], values[~near]))
    return {
        "highest_interval": [frames[best], frames[best] + length],
        "highest_avg_score": round(means[best], 3),
        "lowest_interval": [frames[worst], frames[worst] + length],
        "lowest_avg_score": round(means[worst], 3),
        "std": round(float(np.std(values)), 5),
        "avg_high_group": round(high, 3),
        "avg_low_group": round(low, 3),
        "gap_high_low": round(high - low, 3),
    }


def box_entry(video: str, truth: list[int], box: list[int] | None, confidence: float) -> dict[str, Any]:
    """An entry of URF's val_priors.py."""
    raw = 0.0
    if box is not None:
        width = max(0, min(truth[2], box[2]) - max(truth[0], box[0]))
        height = max(0, min(truth[3], box[3]) - max(truth[1], box[1]))
        areas = (truth[2] - truth[0]) * (truth[3] - truth[1]) + (box[2] - box[0]) * (box[3] - box[1])
        raw = width * height / (areas - width * height + 1e-6)
    final = raw if box is not None and confidence >= 0.5 else 0.0
    return {
        "video": video,
        "gt_bbox": truth,
        "pred_bbox": box,
        "confidence": confidence,
        "raw_iou": raw,
        "raw_correct": int(raw >= 0.1),
        "final_iou": final,
        "final_correct": int(final >= 0.1),
    }


def write_urf(root: Path, rng: np.random.Generator, lengths: Mapping[str, int]) -> dict[str, Any]:
    """All that URF releases, in folders named `m`; returns path -> content of every file."""
    files: dict[str, Any] = {}
    tags, first, final, boxes, annotated, texts = {}, {}, {}, [], {}, {}
    for k, (name, n) in enumerate(lengths.items()):
        size = len(range(0, n, 16))
        files[f"captions/m/{name}.json"] = by_window(n, [sentence(rng) for _ in range(size)])
        low = 0.5 if k % 3 == 0 else 0.0  # the mean of every third video's best window is near 0.5: it is rated again
        scores = by_window(n, [low if low else round(int(rng.integers(0, 4)) / 10, 1) for _ in range(size)])
        refined = by_window(n, [round(int(rng.integers(0, 11)) / 10, 1) for _ in range(size)]) if low else scores
        files[f"scores/m/{name}.json"], files[f"refined_scores/m/{name}.json"] = scores, refined
        first[name], final[name] = statistics(scores), statistics(refined)
        tags[name] = str([sentence(rng).lower(), "it's a theft"]) if k % 4 else "['fighting']"
        texts[name] = sentence(rng)
        annotated[name] = []
        for frame in range(0, n, 100) if k % 2 == 0 else ():
            x, y = (int(corner) for corner in rng.integers(0, 50, size=2))
            truth, seen = [x, y, x + 40, y + 30], frame % 300 > 0
            annotated[name].append([f"{name}/{frame:06d}.jpg", *truth])
            moved = [corner + int(rng.integers(-9, 9)) for corner in truth] if seen else None
            confidence = round(float(rng.random()), 2) if seen else 0.0
            boxes.append(box_entry(name, truth, moved, confidence))
    files["scores/m/suspicious_part_phrases.json"] = tags
    files["scores/m/highest_lowest_intervals.json"] = first
    files["refined_scores/m/highest_lowest_intervals.json"] = final
    files["localisations/m.json"], files["understanding/m.json"] = boxes, texts
    files["annotations/boxes_aligned.json"] = {name: entries for name, entries in annotated.items() if entries}
    for path, content in files.items():
        write_json(root / path, content)
    return files


def evaluate(scores: Path, root: Path) -> float:
    """The ROC AUC that URF's and Probe-VAD's evaluation compute from a folder of scores."""
    spans = {}
    (temporal,) = (root / "annotations").glob("[Tt]emporal*.txt")
    for line in temporal.read_text().splitlines():
        name, _, *bounds = line.split()
        spans[name.removesuffix(".mp4")] = [int(bound) for bound in bounds if bound != "-1"]
    all_scores, all_labels = [], []
    for line in (root / "annotations/test.txt").read_text().splitlines():
        name, _, last, _ = line.split()
        values = gaussian_filter1d(list(read_json(scores / f"{name}.json").values()), sigma=10)
        labels = np.zeros(int(last) + 1)
        for start, end in zip(spans[name][::2], spans[name][1::2], strict=True):
            labels[start : end + 1] = 1
        frames = np.repeat(values, 16)[: len(labels)]
        all_scores.append(np.pad(frames, (0, len(labels) - len(frames))))
        all_labels.append(labels)
    return float(roc_auc_score(np.concatenate(all_labels), np.concatenate(all_scores)))
