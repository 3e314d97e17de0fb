"""Shape a score track: smooth it, spread it over the frames, weight it by position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vaa.errors import VaaError
from vaa.types import Report, ScoreTrack


def score_track(report: Report) -> ScoreTrack:
    """The track of a report.

    Raises:
        VaaError: no stage has made one yet.
    """
    if report.track is None:
        raise VaaError(
            "A stage that shapes scores comes before the one that makes them: look at the order of `stages`."
        )
    return report.track


@dataclass(frozen=True)
class Identity:
    """No smoothing, no weighting: the track as it is."""

    def __call__(self, report: Report) -> Report:
        """The same report."""
        return report


@dataclass(frozen=True)
class GaussianKernel:
    """Convolve with a Gaussian of `size` values, zero beyond the ends (CoReVAD, VERA).

    As the authors compute it, the kernel's axis runs from -size // 2 to size // 2: lopsided where odd (-5..4 for 9).
    """

    size: int
    sigma: float

    def __post_init__(self) -> None:
        if self.size < 1 or not self.sigma > 0:
            raise VaaError(f"smoothing: size={self.size} must be at least 1 and sigma={self.sigma} above 0.")

    def __call__(self, report: Report) -> Report:
        """The report with as many values as before; of the `size` values numpy makes of fewer, the first count."""
        track = score_track(report)
        axis = np.linspace(-self.size // 2, self.size // 2, self.size)
        kernel = np.exp(-(axis**2) / (2 * self.sigma**2))
        values = np.convolve(track.values, kernel / kernel.sum(), mode="same")[: len(track.values)]
        return replace(report, track=ScoreTrack(values, track.starts))


@dataclass(frozen=True)
class GaussianFilter:
    """`scipy.ndimage.gaussian_filter1d` of this `sigma` (in values), reflecting at the ends (URF)."""

    sigma: float

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise VaaError(f"smoothing: sigma={self.sigma} must be above 0.")

    def __call__(self, report: Report) -> Report:
        """The report with its track smoothed."""
        track = score_track(report)
        return replace(report, track=ScoreTrack(gaussian_filter1d(track.values, self.sigma), track.starts))


@dataclass(frozen=True)
class RelativeFilter:
    """The same with a sigma that grows with the video: `share` of the number of its values."""

    share: float

    def __post_init__(self) -> None:
        if not self.share > 0:
            raise VaaError(f"smoothing: share={self.share} must be above 0.")

    def __call__(self, report: Report) -> Report:
        """The report with its track smoothed."""
        track = score_track(report)
        smoothed = gaussian_filter1d(track.values, self.share * len(track.values))
        return replace(report, track=ScoreTrack(smoothed, track.starts))


@dataclass(frozen=True)
class SavitzkyGolay:
    """Fit a polynomial of this `order` to every `size` values and take it at their middle; the result is cut to [0, 1].

    A video of fewer values is fitted as a whole, by the odd number of values it has; one of `order` or fewer is kept.
    """

    size: int
    order: int

    def __post_init__(self) -> None:
        if self.order < 0 or self.size <= self.order or self.size % 2 == 0:
            raise VaaError(f"smoothing: size={self.size} must be odd and above order={self.order}, which is 0 or more.")

    def __call__(self, report: Report) -> Report:
        """The report with its track smoothed."""
        from scipy.signal import savgol_filter  # half a second, which no other stage needs

        track = score_track(report)
        n = len(track.values)
        size = min(self.size, n - (n % 2 == 0))
        if size <= self.order:
            return report
        fitted = np.clip(savgol_filter(track.values, size, self.order), 0.0, 1.0)
        return replace(report, track=ScoreTrack(np.asarray(fitted), track.starts))


@dataclass(frozen=True)
class ExpandToFrames:
    """Repeat each value up to the next one's start; the last as long as the one before it, all cut to the video."""

    def __call__(self, report: Report) -> Report:
        """The report with one value a frame, fewer where the values end before the video does."""
        return replace(report, track=score_track(report).per_frame(report.video.n_frames))


@dataclass(frozen=True)
class CentreWeight:
    """Weight each value by a Gaussian round the middle of the video, sigma = `width` of its length (CoReVAD).

    A prior on where events lie in trimmed test videos, not evidence: say so beside the number.
    """

    width: float

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise VaaError(f"position: width={self.width} must be above 0.")

    def __call__(self, report: Report) -> Report:
        """The report with its track weighted; sigma is cut to whole frames, as the authors do."""
        track, n = score_track(report), report.video.n_frames
        sigma = max(1, int(n * self.width))
        weights = np.exp(-0.5 * ((track.starts - n // 2) / sigma) ** 2)
        return replace(report, track=ScoreTrack(track.values * weights, track.starts))
