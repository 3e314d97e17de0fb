"""From scores to events, by a threshold alone or by the smoothing and voting of a paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaa.errors import ConfigError
from vaa.evaluation.protocol import intervals
from vaa.evaluation.roc import Labels
from vaa.types import Floats


@dataclass(frozen=True, kw_only=True)
class EventRule:
    """Which frames are predicted as anomalous.

    `vote`: false, every frame with a score of at least `threshold`; true, the rule of "Frame AUC hides everything"
    (2604.09327): Gaussian smoothing with sigma 1 to 6, one upon the other, scores above `threshold`, the strict
    majority of 24 frames every 6, written to the frames 6 to 11 of these; what lies behind them gets the majority of
    its own frames, the first 6 frames are normal, and events of up to 6 frames are dropped. A video of fewer than 24
    frames has no such vote: all but its first 6 frames get their own majority (the paper does not say).

    Raises:
        ConfigError: the threshold is not a number.
    """

    threshold: float
    vote: bool

    def __post_init__(self) -> None:
        if not np.isfinite(self.threshold):
            raise ConfigError(f"threshold={self.threshold}: give a number.")

    def frames(self, scores: Floats) -> Labels:
        """The predicted frames, shape (frames,)."""
        return _voted(scores, self.threshold) if self.vote else np.asarray(scores >= self.threshold)


_WINDOW, _STRIDE, _SHORTEST = 24, 6, 6  # frames
_SIGMAS = range(1, 7)


def _voted(scores: Floats, threshold: float) -> Labels:
    from scipy.ndimage import gaussian_filter1d

    smooth = scores.astype(np.float64)
    for sigma in _SIGMAS:
        smooth = gaussian_filter1d(smooth, sigma)
    high = smooth > threshold
    voted = np.zeros(len(high), dtype=np.bool_)
    before = np.concatenate([[0], np.cumsum(high)])
    starts = np.arange(0, len(high) - _WINDOW + 1, _STRIDE)
    votes = 2 * (before[starts + _WINDOW] - before[starts]) > _WINDOW
    last = (int(starts[-1]) if len(starts) else -_STRIDE) + 2 * _STRIDE
    if len(starts):
        voted[_STRIDE:last] = np.repeat(votes, _STRIDE)
    rest = high[last:]
    voted[last:] = 2 * np.count_nonzero(rest) > len(rest)
    for start, stop in intervals(voted):
        if stop - start <= _SHORTEST:
            voted[start:stop] = False
    return voted
