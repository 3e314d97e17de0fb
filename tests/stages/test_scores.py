from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import ConfigError
from vaa.stages.scores import (
    CentreWeight,
    ExpandToFrames,
    GaussianFilter,
    GaussianKernel,
    Identity,
    RelativeGaussianFilter,
    SavitzkyGolay,
)
from vaa.types import Report, ScoreTrack, Video


def report(values: list[float], stride: int = 30, n_frames: int | None = None) -> Report:
    n = stride * len(values) if n_frames is None else n_frames
    track = ScoreTrack(np.array(values, dtype=np.float64), np.arange(len(values)) * stride)
    return Report(Video("v", Path("v.mp4"), n, 30.0), track=track)


def values(shaped: Report) -> np.ndarray:
    assert shaped.track is not None
    return shaped.track.values


def kernel(size: int, sigma: float) -> list[float]:
    """The authors' kernel: `size` points from -size//2 to size//2, both rounded down (Python), ends included."""
    low, high = (-size) // 2, size // 2
    axis = [low + k * (high - low) / (size - 1) for k in range(size)]
    weights = [math.exp(-(x**2) / (2 * sigma**2)) for x in axis]
    return [w / math.fsum(weights) for w in weights]


def test_kernel_is_asymmetric_as_in_the_authors_code() -> None:
    got = values(GaussianKernel(size=9, sigma=5.0)(report([0.0] * 10 + [1.0] + [0.0] * 10)))
    # exp(-x^2 / 50) at x = -5, -3.875, -2.75, ..., 4, normalised.
    expected = [0.079214, 0.096721, 0.112269, 0.123883, 0.129950, 0.129585, 0.122842, 0.110701, 0.094836]
    np.testing.assert_allclose(got[6:15], expected, atol=5e-7)
    assert not np.delete(got, range(6, 15)).any()
    assert got[6] < got[14]  # lopsided


@pytest.mark.parametrize("size", [9, 4])
@pytest.mark.parametrize("n", [9, 10, 25])
def test_kernel_smooths_by_zero_padded_convolution(n: int, size: int) -> None:
    raw = np.random.default_rng(n).random(n)
    weights, shift = kernel(size, 2.0), (size - 1) // 2
    expected = [
        math.fsum(weights[j] * raw[i + shift - j] for j in range(size) if 0 <= i + shift - j < n) for i in range(n)
    ]
    np.testing.assert_allclose(values(GaussianKernel(size=size, sigma=2.0)(report(list(raw)))), expected, atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_kernel_longer_than_the_video_keeps_the_first_of_numpys_nine_values(n: int) -> None:
    raw = np.random.default_rng(n).random(n)
    smoothed = GaussianKernel(size=9, sigma=5.0)(report(list(raw)))
    assert smoothed.track is not None
    np.testing.assert_allclose(smoothed.track.values, np.convolve(raw, kernel(9, 5.0), "same")[:n], atol=1e-15)
    assert smoothed.track.starts.tolist() == [30 * k for k in range(n)]


def test_a_track_shorter_than_the_kernel_agrees_with_the_authors_code() -> None:
    raw, n_frames = [1.0, 0.0, 1.0], 80
    nine = np.convolve(raw, kernel(9, 5.0), "same")
    assert len(nine) == 9
    got = ExpandToFrames()(GaussianKernel(size=9, sigma=5.0)(report(raw, n_frames=n_frames)))
    np.testing.assert_allclose(values(got), np.repeat(nine, 30)[:n_frames], atol=1e-15)


def test_filter_is_a_gaussian_that_reflects_at_the_ends() -> None:
    raw, sigma, n = np.random.default_rng(1).random(12), 1.5, 12
    reach = int(4 * sigma + 0.5)
    weights = [math.exp(-0.5 * (d / sigma) ** 2) for d in range(-reach, reach + 1)]
    mirrored = np.concatenate([raw[::-1], raw, raw[::-1]])  # d c b a | a b c d | d c b a
    expected = [
        math.fsum(w * mirrored[n + i + d] for d, w in zip(range(-reach, reach + 1), weights, strict=True))
        / math.fsum(weights)
        for i in range(n)
    ]
    np.testing.assert_allclose(values(GaussianFilter(sigma=sigma)(report(list(raw)))), expected, atol=1e-12)


@pytest.mark.parametrize("n", [1, 10, 50])
def test_a_relative_sigma_is_proportional_to_the_number_of_values(n: int) -> None:
    raw = list(np.random.default_rng(n).random(n))
    np.testing.assert_array_equal(
        values(RelativeGaussianFilter(relative_sigma=0.1)(report(raw))),
        values(GaussianFilter(sigma=0.1 * n)(report(raw))),
    )


@pytest.mark.parametrize("order", [0, 1, 2])
def test_savitzky_golay_fits_a_polynomial_around_each_value(order: int) -> None:
    raw, half = np.random.default_rng(order).uniform(0.3, 0.7, 20), 3
    got = values(SavitzkyGolay(size=2 * half + 1, order=order)(report(list(raw))))
    for k in range(20):
        first = min(max(k - half, 0), 20 - 2 * half - 1)  # at the ends the first and the last fit hold
        places = np.arange(first, first + 2 * half + 1)
        assert got[k] == pytest.approx(np.polyval(np.polyfit(places - k, raw[places], order), 0), abs=1e-9)


def test_savitzky_golay_is_clipped_to_0_and_1() -> None:
    got = values(SavitzkyGolay(size=5, order=2)(report([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])))
    assert got.min() == 0.0
    assert got.max() == 1.0
    assert len(set(got.tolist())) > 2


@pytest.mark.parametrize(("n", "size"), [(1, None), (2, None), (3, 3), (4, 3), (6, 5)])
def test_a_short_track_is_fitted_with_the_largest_odd_size(n: int, size: int | None) -> None:
    raw = list(np.random.default_rng(n).random(n))
    expected = raw if size is None else values(SavitzkyGolay(size=size, order=2)(report(raw)))
    np.testing.assert_allclose(values(SavitzkyGolay(size=15, order=2)(report(raw))), expected)


@pytest.mark.parametrize(
    ("raw", "stride", "n_frames", "expected"),
    [
        ([0.1, 0.2, 0.3], 3, 9, [0.1] * 3 + [0.2] * 3 + [0.3] * 3),
        ([0.1, 0.2, 0.3], 3, 7, [0.1] * 3 + [0.2] * 3 + [0.3]),
        ([0.1, 0.2], 3, 10, [0.1] * 3 + [0.2] * 3),  # the last holds as long as the others: 4 frames have no score
        ([0.5], 30, 4, [0.5] * 4),
    ],
    ids=["whole", "last cut", "short", "one segment"],
)
def test_per_frame_repeats_and_cuts(raw: list[float], stride: int, n_frames: int, expected: list[float]) -> None:
    got = ExpandToFrames()(report(raw, stride, n_frames))
    assert values(got).tolist() == expected
    assert got.track is not None
    assert got.track.starts.tolist() == list(range(len(expected)))


def test_per_frame_of_frames_changes_nothing() -> None:
    once = ExpandToFrames()(report([0.1, 0.2, 0.3], 3, 8))
    assert values(ExpandToFrames()(once)).tolist() == values(once).tolist()


@pytest.mark.parametrize(("n", "width"), [(100, 0.5), (101, 0.5), (77, 0.25)])
def test_centre_weight_is_the_published_formula(n: int, width: float) -> None:
    got = values(CentreWeight(width=width)(report([0.8] * n, stride=1)))
    expected = [0.8 * math.exp(-0.5 * ((t - n // 2) / int(n * width)) ** 2) for t in range(n)]
    np.testing.assert_allclose(got, expected, atol=1e-15)
    assert got[n // 2] == 0.8


def test_centre_weight_of_a_video_of_one_frame_is_one() -> None:
    assert values(CentreWeight(width=0.5)(report([0.8], stride=1))).tolist() == [0.8]


def test_identity_changes_nothing() -> None:
    before = report([0.1, 0.2])
    assert Identity()(before) is before


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianKernel(size=0, sigma=5.0),
        lambda: GaussianKernel(size=9, sigma=0.0),
        lambda: GaussianFilter(sigma=-1.0),
        lambda: GaussianFilter(sigma=math.nan),
        lambda: RelativeGaussianFilter(relative_sigma=0.0),
        lambda: SavitzkyGolay(size=4, order=2),
        lambda: SavitzkyGolay(size=3, order=3),
        lambda: CentreWeight(width=0.0),
    ],
)
def test_invalid_widths_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"sigma|width|size"):
        make()


@pytest.mark.parametrize(
    "stage",
    [
        GaussianKernel(size=9, sigma=5.0),
        GaussianFilter(sigma=10.0),
        RelativeGaussianFilter(relative_sigma=0.1),
        SavitzkyGolay(size=15, order=2),
        ExpandToFrames(),
        CentreWeight(width=0.5),
    ],
    ids=lambda s: type(s).__name__,
)
def test_a_transform_without_a_track_is_a_config_error(stage) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="stages: "):
        stage(Report(Video("v", Path("v.mp4"), 10, 30.0)))
