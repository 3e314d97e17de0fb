"""What the tiny VLM gets right on held-out videos, kind by kind: `python -m vaa.tiny.measure`."""

from __future__ import annotations

import argparse
import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from vaa.data.synthetic import SyntheticDataset
from vaa.models.transformers.vlm import TransformersVLM
from vaa.prompts import parsers
from vaa.synthetic.kinds import KINDS
from vaa.tiny import clip, prompts
from vaa.types import Dataset, Segment, Span, Video

log = logging.getLogger("vaa.tiny")


def main() -> None:
    """Read the command line, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default=str(prompts.CHECKPOINTS / "vlm"))
    parser.add_argument("--root", default="outputs/synthetic")
    parser.add_argument("--split", default="val")
    parser.add_argument("--videos", type=int, default=40)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    dataset = SyntheticDataset(
        root=given.root, split=given.split, videos=given.videos, seconds=60.0, fps=10.0, size=128
    ).load()
    model = TransformersVLM(
        given.checkpoint, None, "float32", "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 16, "decord", None, "pil"
    )
    for name, numbers in Exam(model, dataset).numbers().items():
        log.info("%s %s", name, json.dumps(numbers))
    log.info("clip %s", json.dumps({k: round(v, 3) for k, v in clip.exam(prompts.CHECKPOINTS / "clip", 2000).items()}))


@dataclass(frozen=True, eq=False)
class Exam:
    """Questions about every segment of 30 frames and about every tenth frame."""

    model: TransformersVLM
    dataset: Dataset

    def numbers(self) -> dict[str, dict[str, float]]:
        """Shares of right answers."""
        return {"verdict": self._verdicts(), "tags": self._tags(), "box": self._boxes(), "rating": self._ratings()}

    def _ask(self, name: str, shown: Iterable[tuple[Video, Segment]], **fields: str) -> list[str]:
        prompt = prompts.prompts()[name]
        asked = [replace(prompt.query(v, s, **fields), max_new_tokens=48) for v, s in shown]
        return [str(answer) for answer in self.model.generate(asked)]

    def _segments(self) -> list[tuple[Video, Segment, str]]:
        found = []
        for video in self.dataset.videos:
            for start in range(0, video.n_frames, 30):
                segment = Segment(start, start + 30, tuple(int(f) for f in np.linspace(start, start + 29, 8)), start)
                label = _label(self.dataset.truths[video.id].spans, segment.frames)
                if label is not None:
                    found.append((video, segment, label))
        return found

    def _verdicts(self) -> dict[str, float]:
        shown = self._segments()
        answers = [parsers.VerdictParser()(text) for text in self._ask("verdict", ((v, s) for v, s, _ in shown))]
        right: dict[str, list[float]] = defaultdict(list)
        for (_, _, label), answer in zip(shown, answers, strict=True):
            right[label].append(answer.score == (label != ""))
            right["readable"].append(not np.isnan(answer.score))
            if label:
                right["sentence"].append(KINDS[label].clause in answer.description.lower())
        return _means(right)

    def _tags(self) -> dict[str, float]:
        shown = self._segments()
        right: dict[str, list[float]] = defaultdict(list)
        for (_, _, label), text in zip(shown, self._ask("tags", ((v, s) for v, s, _ in shown)), strict=True):
            named = parsers.TagsParser()(text).description
            right[label].append(KINDS[label].tag in named if label else not named)
            right["anomalous" if label else "normal"].append(right[label][-1])
        return _means(right)

    def _boxes(self) -> dict[str, float]:
        shown, wanted = [], []
        for video in self.dataset.videos:
            truth = {box.frame: box.xyxy for box in self.dataset.truths[video.id].boxes}
            for frame in range(0, video.n_frames, 10):
                shown.append((video, Segment(frame, frame + 1, (frame,), frame)))
                wanted.append(truth.get(frame))
        right: dict[str, list[float]] = defaultdict(list)
        for (video, segment), box, text in zip(shown, wanted, self._ask("box_any", shown), strict=True):
            found = parsers.parse_boxes(text)
            right["readable"].append(found is not None)
            if box is None:
                right["none where none"].append(found == ())
                continue
            overlap = _iou(np.array(box), np.array(found[0][:4]) * 0.128) if found else 0.0
            right["iou"].append(overlap)
            right[f"iou {_label(self.dataset.truths[video.id].spans, segment.frames)}"].append(overlap)
        return _means(right)

    def _ratings(self) -> dict[str, float]:
        nowhere = self.dataset.videos[0]
        right: dict[str, list[float]] = defaultdict(list)
        for kind in KINDS.values():
            for form in ("{} in the car park at night.", "{}.", "The camera shows that {}."):
                caption = form.format(kind.clause)
                for text in self._ask(
                    "rate", [(nowhere, Segment(0, 1, (), 0))], caption=caption[0].upper() + caption[1:]
                ):
                    score = parsers.RatingParser()(text).score
                    right["within 0.1"].append(abs(score - kind.severity) <= 0.1001)
                    right["right side of 0.5"].append((score > 0.5) == kind.anomalous)
        return _means(right)


def _label(spans: tuple[Span, ...], frames: tuple[int, ...]) -> str | None:
    """The anomaly of most of the frames, "" if none shows one, None where it is in fewer than a quarter of them."""
    inside = {s.label: sum(t.start <= f <= t.end for f in frames for t in spans if t.label == s.label) for s in spans}
    name = max(inside, key=lambda label: inside[label], default="")
    if not name or inside[name] == 0:
        return ""
    return name if inside[name] >= len(frames) / 4 else None


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    sides = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None)
    areas = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])
    return float(sides.prod() / (areas - sides.prod() + 1e-6))


def _means(right: dict[str, list[float]]) -> dict[str, float]:
    return {f"{name or 'normal'} ({len(values)})": round(float(np.mean(values)), 3) for name, values in right.items()}


if __name__ == "__main__":
    main()
