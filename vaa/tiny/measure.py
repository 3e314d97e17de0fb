"""The accuracy of the tiny models on synthetic videos of another split: `python -m vaa.tiny.measure`."""

from __future__ import annotations

import argparse
import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from vaa import process

if __name__ == "__main__":
    process.configure()  # before torch is imported

import numpy as np

from vaa.data.synthetic import SyntheticDataset
from vaa.evaluation.localisation import iou
from vaa.generation import GREEDY
from vaa.models.transformers.vlm import TransformersVLM
from vaa.prompts import parsers
from vaa.prompts.parsers import cut_at_stop_pattern
from vaa.synthetic.events import EVENT_CLASSES
from vaa.tiny import clip, prompts
from vaa.types import Dataset, Segment, Span, Video

log = logging.getLogger("vaa.tiny")


def main() -> None:
    """Measure the checkpoints and log the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default=str(prompts.CHECKPOINTS / "vlm"))
    parser.add_argument("--cache-dir", default="outputs/cache/synthetic")
    parser.add_argument("--split", default="val")
    parser.add_argument("--videos", type=int, default=40)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    dataset = SyntheticDataset(
        cache_dir=args.cache_dir, root=None, split=args.split, videos=args.videos, seconds=60.0, fps=10.0, size=128
    ).load()
    model = tiny_vlm(args.checkpoint, batch_size=16)
    for name, numbers in VlmAccuracy(model, dataset).all().items():
        log.info("%s %s", name, json.dumps(numbers))
    log.info(
        "clip %s", json.dumps({k: round(v, 3) for k, v in clip.accuracy(prompts.CHECKPOINTS / "clip", 2000).items()})
    )


def tiny_vlm(checkpoint: str, batch_size: int) -> TransformersVLM:
    """The tiny VLM on a CPU, greedy, in float32."""
    return TransformersVLM(
        backend="transformers",
        vllm=None,
        checkpoint=checkpoint,
        revision=None,
        dtype="float32",
        quantization="none",
        device_map="cpu",
        attention="sdpa",
        max_pixels=None,
        max_visual_tokens=None,
        compress_tokens=False,
        timestamps=False,
        generation=GREEDY,
        batch_size=batch_size,
        decoder="decord",
        workers=None,
        resize="pil",
    )


@dataclass(frozen=True, eq=False)
class VlmAccuracy:
    """Right answers about every segment of 30 frames and about every tenth frame."""

    model: TransformersVLM
    dataset: Dataset

    def all(self) -> dict[str, dict[str, float]]:
        """Prompt -> the share of right answers, in parts."""
        return {"verdict": self._verdicts(), "tags": self._tags(), "box": self._boxes(), "rating": self._ratings()}

    def _answers(self, name: str, inputs: Iterable[tuple[Video, Segment]], **fields: str) -> list[str]:
        prompt = prompts.load_prompts()[name]
        queries = [replace(prompt.query(v, s, None, **fields), max_new_tokens=48) for v, s in inputs]
        answers = self.model.generate(queries)
        return [
            cut_at_stop_pattern(str(answer), query.stop_pattern) for query, answer in zip(queries, answers, strict=True)
        ]

    def _segments(self) -> list[tuple[Video, Segment, str]]:
        segments = []
        for video in self.dataset.videos:
            for start in range(0, video.n_frames, 30):
                segment = Segment(start, start + 30, tuple(int(f) for f in np.linspace(start, start + 29, 8)), start)
                label = _label(self.dataset.truths[video.id].spans, segment.frames)
                if label is not None:
                    segments.append((video, segment, label))
        return segments

    def _verdicts(self) -> dict[str, float]:
        segments = self._segments()
        answers = [parsers.VerdictParser()(text) for text in self._answers("verdict", ((v, s) for v, s, _ in segments))]
        right: dict[str, list[float]] = defaultdict(list)
        for (_, _, label), answer in zip(segments, answers, strict=True):
            right[label].append(answer.score == (label != ""))
            right["parsed"].append(not np.isnan(answer.score))
            if label:
                right["sentence"].append(EVENT_CLASSES[label].clause in answer.description.lower())
        return _means(right)

    def _tags(self) -> dict[str, float]:
        segments = self._segments()
        right: dict[str, list[float]] = defaultdict(list)
        for (_, _, label), text in zip(segments, self._answers("tags", ((v, s) for v, s, _ in segments)), strict=True):
            tags = parsers.TagsParser()(text).description
            right[label].append(EVENT_CLASSES[label].tag in tags if label else not tags)
            right["anomalous" if label else "normal"].append(right[label][-1])
        return _means(right)

    def _boxes(self) -> dict[str, float]:
        inputs, truths = [], []
        for video in self.dataset.videos:
            truth = {box.frame: box.xyxy for box in self.dataset.truths[video.id].boxes}
            for frame in range(0, video.n_frames, 10):
                inputs.append((video, Segment(frame, frame + 1, (frame,), frame)))
                truths.append(truth.get(frame))
        right: dict[str, list[float]] = defaultdict(list)
        for (video, segment), box, text in zip(inputs, truths, self._answers("box_any", inputs), strict=True):
            boxes = parsers.parse_boxes(text)
            right["parsed"].append(boxes is not None)
            if box is None:
                right["none where none"].append(boxes == ())
                continue
            overlap = iou(box, [edge * 0.128 for edge in boxes[0][:4]]) if boxes else 0.0
            right["iou"].append(overlap)
            right[f"iou {_label(self.dataset.truths[video.id].spans, segment.frames)}"].append(overlap)
        return _means(right)

    def _ratings(self) -> dict[str, float]:
        video = self.dataset.videos[0]  # not shown: these prompts have no frames
        right: dict[str, list[float]] = defaultdict(list)
        for kind in EVENT_CLASSES.values():
            for form in ("{} in the car park at night.", "{}.", "The camera shows that {}."):
                caption = form.format(kind.clause)
                for text in self._answers(
                    "rate", [(video, Segment(0, 1, (), 0))], caption=caption[0].upper() + caption[1:]
                ):
                    score = parsers.RatingParser()(text).score
                    right["within 0.1"].append(abs(score - kind.severity) <= 0.1001)
                    right["right side of 0.5"].append((score > 0.5) == kind.anomalous)
        return _means(right)


def _label(spans: tuple[Span, ...], frames: tuple[int, ...]) -> str | None:
    """The class of most anomalous frames, "" if there are none, None if they are fewer than a quarter."""
    inside = {s.label: sum(t.start <= f < t.stop for f in frames for t in spans if t.label == s.label) for s in spans}
    name = max(inside, key=lambda label: inside[label], default="")
    if not name or inside[name] == 0:
        return ""
    return name if inside[name] >= len(frames) / 4 else None


def _means(right: dict[str, list[float]]) -> dict[str, float]:
    return {f"{name or 'normal'} ({len(values)})": round(float(np.mean(values)), 3) for name, values in right.items()}


if __name__ == "__main__":
    main()
