"""The page's data for other alert thresholds: at which frames a video's scores change, in hundredths."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaa.types import Floats, Video

_LEVELS = np.arange(101) / 100


def score_levels(video: Video, scores: Floats | None) -> dict[str, Any] | None:
    """The scores of a video, shape (frames,), as stretches of one level; None without scores.

    The level of a score is the largest n with n / 100 <= score, -1 for NaN: a score reaches a threshold of whole
    hundredths if and only if its level does. `at`: frames from one change to the next, `to`: the levels. Where the rate
    varies, `start` and `stop`: the times of the stretches in seconds, `pauses`: the stretches before which the
    recording pauses.
    """
    if scores is None or not len(scores):
        return None
    # In the precision of the scores, in which the alert rule compares them.
    levels = np.searchsorted(_LEVELS.astype(scores.dtype), scores, side="right") - 1
    levels[np.isnan(scores)] = -1
    pauses = [frame for frame in (video.times.pauses if video.times else ()) if 0 < frame < len(scores)]
    changes = np.flatnonzero(np.diff(levels)) + 1
    at = np.unique(np.concatenate([[0], changes, np.array(pauses, dtype=np.int64)])).astype(np.int64)
    content: dict[str, Any] = {"at": np.diff(at, prepend=0).tolist(), "to": levels[at].tolist()}
    if video.times is None:
        return {**content, "fps": video.fps or 25.0, "frames": len(scores)}
    return {
        **content,
        "start": [round(video.seconds(int(frame)), 6) for frame in at],
        "stop": [round(video.end(int(frame)), 6) for frame in (*at[1:], len(scores))],
        "pauses": np.searchsorted(at, pauses).tolist(),
    }
