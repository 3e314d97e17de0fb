"""Ten threshold questions and one score: the projection against a naive one."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from making import UnusedModel

from vaa.errors import ConfigError
from vaa.prompts.parsers import YesNoParser
from vaa.prompts.template import Prompt
from vaa.stages.probe import ThresholdProbe, decreasing
from vaa.stages.responses import ResponseScores
from vaa.types import Report, Segment, Video

PROMPT = Prompt(
    purpose="threshold",
    system="",
    text="$frames\nAt least $threshold?",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=4,
    parser=YesNoParser(),
)
REPORT = Report(
    Video("v", Path("v.mp4"), 32, 10.0), tuple(Segment(k, k + 16, (k,), k) for k in (0, 16)), n_answers=1, n_unparsed=1
)


def stage(*thresholds: float) -> ThresholdProbe:
    return ThresholdProbe(model=UnusedModel(), prompt=PROMPT, thresholds=thresholds, choices=["YES", "NO"])


def naive(row: list[float]) -> list[float]:
    """Min-max form of the isotonic regression: at k, the least mean from any i <= k of the largest to any j >= k."""
    n = len(row)
    mean = {(i, j): math.fsum(row[i : j + 1]) / (j + 1 - i) for i in range(n) for j in range(i, n)}
    return [min(max(mean[i, j] for j in range(k, n)) for i in range(k + 1)) for k in range(n)]


def test_the_projection_agrees_with_the_naive_one() -> None:
    for seed in range(200):
        row = np.random.default_rng(seed).random(1 + seed % 11)
        projected = decreasing(row)
        np.testing.assert_allclose(projected, naive(row.tolist()), atol=1e-12)
        assert all(b <= a for a, b in pairwise(projected))
        assert projected.mean() == pytest.approx(row.mean())  # pooling preserves the sum


def test_decreasing_rows_are_unchanged() -> None:
    assert decreasing(np.array([0.9, 0.5, 0.5, 0.1])).tolist() == [0.9, 0.5, 0.5, 0.1]


def test_there_is_one_choice_query_per_segment_and_threshold_in_order() -> None:
    queries = stage(0.1, 1.0).queries(REPORT)
    assert [(q.at, q.text.splitlines()[-1], q.choices) for q in queries] == [
        (at, f"At least {threshold}?", ("YES", "NO")) for at in (0, 16) for threshold in ("0.1", "1.0")
    ]


def test_the_score_is_the_mean_probability_of_yes() -> None:
    answers = [np.array([p, 1 - p]) for p in (0.9, 0.2, 0.4, 0.5, 0.25, 0.0)]
    responses = stage(0.1, 0.5, 1.0).absorb(REPORT, answers).responses
    assert [response.score for response in responses] == [pytest.approx(0.5), pytest.approx(0.25)]
    assert [response.text for response in responses] == ["0.9000 0.3000 0.3000", "0.5000 0.2500 0.0000"]


def test_an_invalid_probability_is_nan_counted_and_replaced() -> None:
    answers = [np.array([math.nan, math.nan]), np.array([0.5, 0.5]), np.array([0.8, 0.2]), np.array([0.6, 0.4])]
    report = stage(0.5, 1.0).absorb(REPORT, answers)
    assert math.isnan(report.responses[0].score)
    assert report.responses[1].score == pytest.approx(0.7)
    assert (report.n_answers, report.n_unparsed) == (1 + 2, 1 + 1)
    track = ResponseScores(missing=0.5)(report).track
    assert track is not None
    np.testing.assert_allclose(track.values, [0.5, 0.7])


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5), (0.5, 0.1)])
def test_thresholds_must_increase(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="thresholds"):
        stage(*thresholds)


def test_choices_that_the_parser_cannot_score_are_refused() -> None:
    with pytest.raises(ConfigError, match="the threshold prompt"):
        ThresholdProbe(model=UnusedModel(), prompt=PROMPT, thresholds=[0.5], choices=["true", "false"])
