"""Released scores side by side: frames, events and moments of each row with intervals, a table per data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vaa.compare.measures import measure, read_scores
from vaa.evaluation import bootstrap
from vaa.paper.rows import ReplayBatch
from vaa.report.runs import Run

METRICS = {
    "roc_auc": "frame AUC",
    "event_f1/0.2": "event F1 at 0.2",
    "event_precision/0.2": "precision",
    "event_recall/0.2": "recall",
    "within_video_auc": "within-video AUC",
    "anomalous_roc_auc": "AUC of anomalous videos",
}
_INTERVALS = ("roc_auc", "event_f1/0.2", "within_video_auc")
_RESAMPLES, _SEED, _DIGITS = 1000, 0, 8
_PROTOCOL = "protocol=[lavad,anomalous,events]"

TEXT = """
## Frames, events, moments

One row a method, counted alike: the labels of the data set, all its test videos. **Frame AUC** says how well anomalous
frames rank above normal ones over all videos, and mostly ranks whole videos. **Event F1** says how many of the
annotated intervals a user would be shown, by the rule of 2604.09327 at its own threshold (0.48, which not every
method's scores are made for) and a temporal IoU of 0.2. **Within-video AUC** says whether the score rises at the right
moment. Brackets: 95 % of {resamples} resamples of the videos, seed {seed}. "Chosen here": whether labels of these test
videos chose a setting of the method, as far as its authors say. Each metric: [metrics](metrics.md).
"""


@dataclass(frozen=True)
class LeaderboardRow:
    """A method's scores on a data set; `by`: who ran the models; `chosen`: what labels of the test set have chosen."""

    data: str
    title: str
    by: str
    fixed: tuple[str, ...]
    chosen: str = "no"
    optional: str = ""

    @property
    def batch(self) -> ReplayBatch:
        """Its one job; named by what it replays."""
        name = f"{self.data} {self.title}".lower().replace(",", "").replace(" ", "_")
        return ReplayBatch(f"leaderboard_{name}", (*self.fixed, _PROTOCOL), (), self.optional)


_URF_UCF = ("experiment=urf_ucf", "data.root={urf}/ucf_crime")
_VADTREE = (
    "method=scored",
    "data=ucf_crime",
    "data.root={vadtree}/UCF",
    "scores.root={vadtree}/UCF/coarse/refined.json",
)
_COREVAD = (
    *("experiment=corevad_ucf_lavad", "data.root={urf}/ucf_crime", "vlm.root={corevad}", "vlm.verdict={verdict_ucf}"),
    "smoothing=gaussian9",
)
_LEVELS = (("coarse", "_coarse", "no"), ("fine", "_fine", "no"), ("ensemble", "", "the weight of the levels"))
ROWS = (
    LeaderboardRow(
        "UCF-Crime", "URF, first ratings", "URF", (*_URF_UCF, "scores.root={urf}/ucf_crime/scores/videollama3")
    ),
    LeaderboardRow("UCF-Crime", "URF, refined", "URF", _URF_UCF),
    LeaderboardRow("UCF-Crime", "URF, refined, position", "URF", (*_URF_UCF, "position=centre")),
    LeaderboardRow("UCF-Crime", "CoReVAD, smoothed", "CoReVAD", (*_COREVAD, "position=none")),
    LeaderboardRow("UCF-Crime", "CoReVAD, smoothed, position", "CoReVAD", (*_COREVAD, "position=centre")),
    LeaderboardRow(
        "UCF-Crime", "VADTree, coarse, raw", "VADTree", (*_VADTREE, "scores.field=raw"), optional="{vadtree}/UCF"
    ),
    LeaderboardRow("UCF-Crime", "VADTree, coarse, refined", "VADTree", _VADTREE, optional="{vadtree}/UCF"),
    LeaderboardRow("XD-Violence", "URF, refined", "URF", ("experiment=urf_xd", "data.root={urf}/xd_violence")),
    *(
        LeaderboardRow(
            "MSAD",
            f"VADTree, {title}",
            "VADTree",
            (f"experiment=vadtree_msad{name}", "data.root={vadtree}/MSAD"),
            chosen,
            "{vadtree}/MSAD",
        )
        for title, name, chosen in (
            ("coarse", "_coarse", "no"),
            ("fine", "_fine", "no"),
            ("ensemble", "", "its weight"),
        )
    ),
)


def measured(run: Run) -> dict[str, list[float]]:
    """Metric -> value, and for some the low and high end of its interval."""
    data = read_scores(run)
    videos = [video for video in data.labels if video in data.videos]
    results = measure(data, videos, bootstrap.resamples(len(videos), _RESAMPLES, _SEED), [*METRICS])
    values = {name: [round(result.value, _DIGITS)] for name, result in results.items()}
    for name in _INTERVALS:
        if name in results:
            interval = bootstrap.interval(results[name].resampled)
            values[name] += [round(interval.low, _DIGITS), round(interval.high, _DIGITS)]
    return values


def section(numbers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Data set, titles of the columns, lines; `numbers`: batch -> what `measured` gives."""
    for data in dict.fromkeys(row.data for row in ROWS):
        lines = []
        for row in (row for row in ROWS if row.data == data):
            values = numbers.get(row.batch.name, {})
            lines.append((row.title, row.by, row.chosen, *(_cell(values.get(name)) for name in METRICS)))
        yield data, ("scores", "models run by", "chosen here", *METRICS.values()), lines


def text() -> str:
    """What the columns mean."""
    return TEXT.format(resamples=_RESAMPLES, seed=_SEED)


def _cell(values: list[float] | None) -> str:
    if not values:
        return "not replayed"
    value, *ends = values
    interval = f" [{', '.join(f'{end:.3f}' for end in ends)}]" if ends else ""
    return f"{value:.4f}{interval}"
