from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaa.evaluation import bootstrap
from vaa.evaluation.detection import detection, within_video_auc

Videos = list[tuple[np.ndarray, np.ndarray]]


def random_videos(seed: int, videos: int, levels: int | None, dtype: str = "float64") -> tuple[list, list]:
    """Labels and scores: some videos normal throughout, one wholly anomalous; of few levels or all different."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, videos)
    labels = [rng.random(n) < share for n, share in zip(lengths, rng.choice([0, 0.2, 0.7], videos), strict=True)]
    labels[0][:] = True
    scores = [rng.random(n) + 0.3 * y for n, y in zip(lengths, labels, strict=True)]
    if levels is not None:
        scores = [np.floor(levels * s) / levels for s in scores]
    return labels, [s.astype(dtype) for s in scores]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("levels", [1, 2, 5, None])
@pytest.mark.parametrize("seed", range(3))
def test_the_original_sample_equals_detection(seed: int, levels: int | None, dtype: str) -> None:
    labels, scores = random_videos(seed, 12, levels, dtype)
    values = bootstrap.flat(bootstrap.count_frames(labels, scores), np.ones((1, 12)))
    expected = detection(labels, scores)
    for name in bootstrap.NAMES:
        assert abs(values[name][0] - expected[name]) < 1e-12, name


@pytest.mark.parametrize("levels", [2, 7, None])
def test_resamples_equal_counting_the_drawn_frames_again(levels: int | None) -> None:
    labels, scores = random_videos(3, 15, levels)
    weights = bootstrap.resamples(15, 20, seed=1)
    values = bootstrap.flat(bootstrap.count_frames(labels, scores), weights)
    aucs = np.array([within_video_auc([y], [s]) for y, s in zip(labels, scores, strict=True)])
    known = np.isfinite(aucs).astype(float)
    within = bootstrap.mean(np.nan_to_num(aucs), known, weights)
    for k, row in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(15), row)
        naive = detection([labels[i] for i in drawn], [scores[i] for i in drawn])
        for name in bootstrap.NAMES:
            assert abs(values[name][k] - naive[name]) < 1e-12, name
        assert abs(within[k] - naive["within_video_auc"]) < 1e-12


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1), min_size=1, max_size=6), st.data())
def test_any_videos_any_weights(videos: list[list[tuple[bool, int]]], data: st.DataObject) -> None:
    labels = [np.array([y for y, _ in video], dtype=bool) for video in videos]
    scores = [np.array([s for _, s in video], dtype=float) for video in videos]
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(videos), max_size=len(videos)))
    values = bootstrap.flat(bootstrap.count_frames(labels, scores), np.array([times], dtype=float))
    drawn = [k for k, often in enumerate(times) for _ in range(often)]
    frames = np.concatenate([labels[k] for k in drawn]) if drawn else np.zeros(0, dtype=bool)
    if not frames.any() or frames.all():
        assert all(np.isnan(values[name][0]) for name in bootstrap.NAMES)
        return
    expected = detection([labels[k] for k in drawn], [scores[k] for k in drawn])
    for name in bootstrap.NAMES:
        assert abs(values[name][0] - expected[name]) < 1e-12, name


def test_large_arrays_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, weights = bootstrap.count_frames(*random_videos(0, 9, None)), bootstrap.resamples(9, 50, 0)
    whole = bootstrap.flat(counts, weights)
    monkeypatch.setattr(bootstrap, "_CELLS", 1000)
    for name, values in bootstrap.flat(counts, weights).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-13)


def test_a_resample_draws_as_many_videos_as_there_are() -> None:
    drawn = bootstrap.resamples(7, 500, seed=0)
    assert (drawn.sum(axis=1) == 7).all()
    assert abs(drawn.mean() - 1) < 1e-12
    assert drawn.max() > 2
    np.testing.assert_array_equal(drawn, bootstrap.resamples(7, 500, seed=0))
    assert (drawn != bootstrap.resamples(7, 500, seed=1)).any()


def test_the_interval_is_the_middle_and_counts_undefined_resamples() -> None:
    values = np.append(np.arange(1001.0), [np.nan, np.nan])
    assert bootstrap.interval(values) == bootstrap.Interval(25.0, 975.0, 2)
    assert np.isnan(bootstrap.interval(np.array([np.nan])).low)


def test_a_weighted_mean_over_videos() -> None:
    weights = np.array([[1, 1, 1], [0, 2, 1], [0, 0, 3]], dtype=float)
    values = bootstrap.mean(np.array([3.0, 1.0, 0.0]), np.array([4.0, 1.0, 0.0]), weights)
    np.testing.assert_allclose(values[:2], [4 / 5, 1.0])
    assert np.isnan(values[2])


def test_the_interval_covers_the_true_difference_in_95_percent_of_samples() -> None:
    """Of data with a known difference, about 95 of 100 intervals contain it."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(100):
        gains = rng.normal(0.1, 0.2, 60)
        weights = bootstrap.resamples(60, 400, int(rng.integers(1 << 30)))
        interval = bootstrap.interval(bootstrap.mean(gains, np.ones(60), weights))
        covered += interval.low <= 0.1 <= interval.high
    assert 88 <= covered <= 99
