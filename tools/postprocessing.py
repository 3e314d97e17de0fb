"""The search behind docs/experiments.md: `python tools/postprocessing.py R/urf [--check]`.

On UCF-Crime's released scores of URF, evaluated on one in eight frames; the choice is then checked on XD-Violence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, median_filter

from vaa.data.annotated import AnnotatedDataset
from vaa.evaluation import bootstrap
from vaa.evaluation.detection import detection, within_video_auc
from vaa.evaluation.protocol import Protocol
from vaa.stages.read_scores import ReadScores
from vaa.types import Report, ScoreTrack

Array = Any
Shape = Callable[[Array], Array]
LAVAD = Protocol(
    name="lavad",
    labels=None,
    end_inclusive=True,
    precision="float64",
    pad=0.0,
    smooth=0.0,
    transform="none",
    metrics={},
)
FOLDERS = {"ucf_crime": "videollama3", "xd_violence": "videollama3_7B"}
NAMES = ("roc_auc", "pr_auc", "within_video_auc")


def same(x: Array) -> Array:
    """The same scores."""
    return x


def smoothings() -> Iterator[tuple[str, Shape]]:
    """How scores are smoothed."""
    yield "none", same
    for p in (5, 7, 10, 15, 20, 30, 40):
        yield f"filter {p}", lambda s, p=p: gaussian_filter1d(s, p)
    for p in (0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2):
        yield f"relative {p}", lambda s, p=p: gaussian_filter1d(s, p * len(s))
    for p in (3, 7):
        yield f"median {p}, filter 10", lambda s, p=p: gaussian_filter1d(median_filter(s, p), 10.0)
        yield f"maximum {p}, filter 10", lambda s, p=p: gaussian_filter1d(maximum_filter1d(s, p), 10.0)
    for p in (3, 5, 10, 20):
        yield (
            f"filter {p} + relative 0.04",
            lambda s, p=p: (gaussian_filter1d(s, p) + gaussian_filter1d(s, 0.04 * len(s))) / 2,
        )


def calibrations() -> Iterator[tuple[str, Shape]]:
    """What may be done to the smoothed scores of a video."""
    yield "none", same
    for a in (0.1, 0.2, 0.3, 0.5, 0.7, 0.9):
        yield f"mix {a} mean", lambda x, a=a: (1 - a) * x + a * x.mean()
        yield f"mix {a} maximum", lambda x, a=a: (1 - a) * x + a * x.max()
    for a in (0.2, 0.5, 1.0, 2.0):
        yield f"times mean^{a}", lambda x, a=a: x * x.mean() ** a
        yield f"times maximum^{a}", lambda x, a=a: x * x.max() ** a
    for a in (0.25, 0.5, 0.75, 1.0, 1.5):
        yield f"less {a} minimum", lambda x, a=a: x - a * x.min()
    for a in (0.25, 0.5, 0.75, 1.0):
        yield f"less {a} median", lambda x, a=a: x - a * np.median(x)
    for a in (0.25, 0.5, 1.0):
        yield f"by maximum^{a}", lambda x, a=a: x / max(x.max(), 1e-6) ** a
    for a in (0.5, 2.0, 3.0):
        yield f"power {a}", lambda x, a=a: x.max() * (x / max(x.max(), 1e-6)) ** a
    for a in (0.25, 0.5, 1.0, 2.0):
        yield f"plus {a} std", lambda x, a=a: x + a * x.std()


def floor(q: float, a: float) -> Shape:
    """Take a share of a quantile off."""
    return lambda x: np.maximum(x - a * np.quantile(x, q), 0)


class Data:
    """Labels and scores of a data set on one in `every` frames."""

    def __init__(self, root: Path, name: str, every: int) -> None:
        dataset = AnnotatedDataset(
            name=name, root=str(root / name), index="annotations/test.txt", spans="annotations/[Tt]emporal*.txt",
            videos="videos", boxes="none", texts="none", fps=30.0, file_fps=True, base=0,
        ).load()  # fmt: skip
        read = ReadScores(
            root=str(root / name / "refined_scores" / FOLDERS[name]), field="refined", step=1, lowest=0.0, highest=1.0
        )
        self.reports = [read(Report(video)) for video in dataset.videos]
        spans = LAVAD.spans(dataset)
        self.every = slice(None) if every == 1 else slice(every // 2, None, every)
        self.labels = [LAVAD.frame_labels(r.video, spans[r.video.id])[self.every] for r in self.reports]

    def scores(self, before: Shape, smooth: Shape, after: Shape, width: float | None, last: Shape) -> list[Array]:
        """before, smooth, after: on clips; width: position weighting; last: on frames."""
        return [last(self._frames(r, after(smooth(before(r.track.values))), width)) for r in self.reports]  # type: ignore[union-attr]

    def _frames(self, report: Report, values: Array, width: float | None) -> Array:
        n, starts = report.video.n_frames, report.track.starts  # type: ignore[union-attr]
        frames = LAVAD.frame_scores(Report(report.video, track=ScoreTrack(values, starts)))[self.every]
        if width is None:
            return frames
        return frames * np.exp(-0.5 * ((np.arange(n)[self.every] - n // 2) / max(1, int(n * width))) ** 2)


def candidates() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The four passes, in the order in which they were made; each was designed after the results of the one before."""
    smooth = dict(smoothings()) | {
        f"relative {p}": (lambda s, p=p: gaussian_filter1d(s, p * len(s))) for p in (0.03, 0.05)
    }
    for (name, f), w in product(smoothings(), (None, 0.25, 0.35, 0.5, 0.7, 1.0)):
        yield f"{name}; width {w}", (same, f, same, w, same)
    for (name, c), s, w in product(calibrations(), ("filter 10", "relative 0.06"), (0.35, 0.5)):
        yield f"{s}; {name}; width {w}", (same, smooth[s], c, w, same)

    def lowered(s: str, q: float, a: float, w: float | None, where: str) -> tuple[str, tuple[Any, ...]]:
        low = [floor(q, a) if where == place else same for place in ("clips", "smoothed", "weighted")]
        return f"{s}; less {a} of the {q} quantile of {where}; width {w}", (low[0], smooth[s], low[1], w, low[2])

    main = ("filter 10", "relative 0.06")
    for s, a, w in product(
        (*main, *(f"relative {p}" for p in (0.04, 0.05, 0.08))), (0.25, 0.35, 0.5, 0.65), (0.35, 0.5, 0.7)
    ):
        yield lowered(s, 0.0, a, w, "smoothed")
    for q, a, s in product((0.05, 0.1, 0.2), (0.25, 0.35, 0.5), main):
        yield lowered(s, q, a, 0.5, "smoothed")
    for where, a, q, s in product(("weighted", "clips"), (0.25, 0.5), (0.0, 0.1), main):
        yield lowered(s, q, a, 0.5, where)
    for s, a in product(main, (0.25, 0.35, 0.5)):
        yield lowered(s, 0.0, a, None, "smoothed")
    for a, q in product((0.25, 0.5, 0.75, 1.0), (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)):
        yield lowered("filter 10", q, a, 0.5, "clips")
    for s, a, q in product(("filter 7", "filter 15", "relative 0.03"), (0.5, 0.75), (0.1, 0.2)):
        yield lowered(s, q, a, 0.5, "clips")
    for w, a, q in product((0.35, 0.7, None), (0.5, 0.75), (0.1, 0.2)):
        yield lowered("filter 10", q, a, w, "clips")


def print_line(*words: str) -> None:
    """Print a line."""
    sys.stdout.write(" ".join(words) + "\n")


def _delta(values: Array) -> str:
    interval = bootstrap.interval(values[1:])
    return f"{values[0]:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def search(root: Path) -> None:
    """Evaluate every candidate on UCF-Crime."""
    data, results = Data(root, "ucf_crime", 8), []
    for name, parts in candidates():
        numbers = detection(data.labels, data.scores(*parts))
        results.append((float(np.mean([numbers[each] for each in NAMES])), name, [numbers[each] for each in NAMES]))
    print_line(
        f"{len(results)} settings, {len({name for _, name, _ in results})} different; by the mean of {', '.join(NAMES)}"
    )
    for _, name, numbers in sorted(results, key=lambda each: -each[0])[:15]:
        print_line(*(f"{number:.4f}" for number in numbers), name)


def check(root: Path) -> None:
    """The choice against position weighting alone, on both data sets, over all frames."""

    def filter10(s: Array) -> Array:
        return gaussian_filter1d(s, 10.0)

    for name in FOLDERS:
        data, results = Data(root, name, 1), []
        weights = np.vstack([np.ones(len(data.labels)), bootstrap.resamples(len(data.labels), 1000, 0)])
        for before in (same, floor(0.1, 0.5)):
            scores = data.scores(before, filter10, same, 0.5, same)
            aucs = np.array([within_video_auc([y], [s]) for y, s in zip(data.labels, scores, strict=True)])
            known = np.isfinite(aucs).astype(float)
            numbers = bootstrap.flat(bootstrap.count_frames(data.labels, scores), weights)
            results.append(numbers | {NAMES[2]: bootstrap.mean(np.where(known > 0, aucs, 0), known, weights)})
        for each in NAMES:
            delta = results[1][each] - results[0][each]
            print_line(f"{name} {each}", *(f"{result[each][0]:.6f}" for result in results), _delta(delta))


if __name__ == "__main__":
    (check if "--check" in sys.argv else search)(Path(sys.argv[1]))
