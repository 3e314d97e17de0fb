"""Transforms of a score track: smooth it, repeat it for every frame, weight it by position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vaa.errors import ConfigError
from vaa.stages.base import PER_FRAME, SEGMENT, WHOLE_VIDEO, Neighbours, Scope
from vaa.types import Report, ScoreTrack

FloatType = Literal["float16", "float32", "float64"]


def check_float_type(key: str, precision: str) -> None:
    """Raise a ConfigError for a `precision` that is no FloatType."""
    if precision not in get_args(FloatType):
        raise ConfigError(f"{key}={precision}: choose {', '.join(get_args(FloatType))}.")


def score_track(report: Report) -> ScoreTrack:
    """The track of a report.

    Raises:
        ConfigError: no earlier stage has made one.
    """
    if report.track is None:
        raise ConfigError("stages: a stage that changes scores comes before the one that makes them. Change the order.")
    return report.track


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Changes nothing; the choice `none` of several groups."""

    scope: ClassVar[Scope] = SEGMENT

    def __call__(self, report: Report) -> Report:
        """The same report."""
        return report


@dataclass(frozen=True, kw_only=True)
class GaussianKernel:
    """Convolve with a Gaussian of `size` values, zero beyond the ends (CoReVAD, VERA).

    As in the authors' code, the kernel's axis runs from -size // 2 to size // 2, asymmetric for an odd size (-5..4
    for 9).
    """

    size: int
    sigma: float

    def __post_init__(self) -> None:
        if self.size < 1 or not self.sigma > 0:
            raise ConfigError(f"smoothing: size={self.size} must be at least 1 and sigma={self.sigma} above 0.")

    @property
    def scope(self) -> Scope:
        """Half the kernel."""
        return Neighbours(self.size // 2)

    def __call__(self, report: Report) -> Report:
        """The report with its track smoothed; a track shorter than the kernel keeps its length."""
        track = score_track(report)
        axis = np.linspace(-self.size // 2, self.size // 2, self.size)
        kernel = np.exp(-(axis**2) / (2 * self.sigma**2))
        values = np.convolve(track.values, kernel / kernel.sum(), mode="same")[: len(track.values)]
        return replace(report, track=ScoreTrack(values, track.starts))


@dataclass(frozen=True, kw_only=True)
class GaussianFilter:
    """`scipy.ndimage.gaussian_filter1d` with `sigma` in values, reflecting at the ends (URF)."""

    sigma: float

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ConfigError(f"smoothing: sigma={self.sigma} must be above 0.")

    @property
    def scope(self) -> Scope:
        """SciPy cuts the Gaussian at four sigma."""
        return Neighbours(int(4 * self.sigma + 0.5))

    def __call__(self, report: Report) -> Report:
        """The report with its track smoothed."""
        track = score_track(report)
        return replace(report, track=ScoreTrack(gaussian_filter1d(track.values, self.sigma), track.starts))


@dataclass(frozen=True, kw_only=True)
class RelativeGaussianFilter:
    """Like GaussianFilter, with a sigma of `relative_sigma` times the number of the video's values."""

    scope: ClassVar[Scope] = Neighbours(None)

    relative_sigma: float

    def __post_init__(self) -> None:
        if not self.relative_sigma > 0:
            raise ConfigError(f"smoothing: relative_sigma={self.relative_sigma} must be above 0.")

    def __call__(self, report: Report) -> Report:
        """The report with its track smoothed."""
        track = score_track(report)
        smoothed = gaussian_filter1d(track.values, self.relative_sigma * len(track.values))
        return replace(report, track=ScoreTrack(smoothed, track.starts))


@dataclass(frozen=True, kw_only=True)
class SavitzkyGolay:
    """Fit a polynomial of degree `order` to every `size` values, take it at their centre and clip it to [0, 1].

    A shorter track is fitted with the largest odd size that it allows, and unchanged if that is not above `order`.
    """

    size: int
    order: int

    def __post_init__(self) -> None:
        if self.order < 0 or self.size <= self.order or self.size % 2 == 0:
            raise ConfigError(
                f"smoothing: size={self.size} must be odd and above order={self.order}, which is 0 or more."
            )

    @property
    def scope(self) -> Scope:
        """Half the values of a fit."""
        return Neighbours(self.size // 2)

    def __call__(self, report: Report) -> Report:
        """The report with its track smoothed."""
        from scipy.signal import savgol_filter  # importing it takes half a second

        track = score_track(report)
        n = len(track.values)
        size = min(self.size, n - (n % 2 == 0))
        if size <= self.order:
            return report
        smoothed = np.clip(savgol_filter(track.values, size, self.order), 0.0, 1.0)
        return replace(report, track=ScoreTrack(np.asarray(smoothed), track.starts))


@dataclass(frozen=True, kw_only=True)
class FloatScores:
    """Round the scores to the values of a float type; CoReVAD's are float16 before the position weighting."""

    scope: ClassVar[Scope] = SEGMENT

    precision: FloatType

    def __post_init__(self) -> None:
        check_float_type("stages: FloatScores.precision", self.precision)

    def __call__(self, report: Report) -> Report:
        """The report with its track rounded; float64 changes nothing."""
        track = score_track(report)
        values = track.values.astype(self.precision).astype(np.float64)
        return replace(report, track=ScoreTrack(values, track.starts))


@dataclass(frozen=True, kw_only=True)
class ExpandToFrames:
    """Repeat each value up to the start of the next; the last as often as the one before it; cut at the video's end."""

    scope: ClassVar[Scope] = PER_FRAME

    def __call__(self, report: Report) -> Report:
        """The report with one value per frame, fewer where the values end before the video does."""
        return replace(report, track=score_track(report).per_frame(report.video.n_frames))


@dataclass(frozen=True, kw_only=True)
class CentreWeight:
    """Weight each value by a Gaussian around the middle of the video, sigma = `width` of its length (CoReVAD).

    It is a prior on where events lie in trimmed test videos, not evidence: report it beside the result.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    width: float

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ConfigError(f"position: width={self.width} must be above 0.")

    def __call__(self, report: Report) -> Report:
        """The report with its track weighted; sigma is truncated to whole frames, as in the authors' code."""
        track, n = score_track(report), report.video.n_frames
        sigma = max(1, int(n * self.width))
        weights = np.exp(-0.5 * ((track.starts - n // 2) / sigma) ** 2)
        return replace(report, track=ScoreTrack(track.values * weights, track.starts))
