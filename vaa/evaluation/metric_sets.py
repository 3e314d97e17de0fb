"""The metric sets of this package by name, written into a run's folder and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vaa.evaluation.alarms import Delays, FalseAlarmRate
from vaa.evaluation.event_f1 import EventF1
from vaa.evaluation.event_rule import EventRule
from vaa.evaluation.macro import MacroAuc
from vaa.evaluation.metric_set import MetricSet
from vaa.evaluation.pixels import PixelAuc
from vaa.evaluation.regions import RegionsAndTracks
from vaa.evaluation.temporal_map import TemporalMap
from vaa.evaluation.video_groups import AnomalousVideos, VideosOfClass

_CLASSES: Mapping[str, Any] = {
    each.__name__: each
    for each in (
        *(MacroAuc, AnomalousVideos, VideosOfClass, FalseAlarmRate, Delays, EventF1),
        *(TemporalMap, RegionsAndTracks, PixelAuc),
    )
}


def encode(metrics: Mapping[str, MetricSet]) -> dict[str, dict[str, Any]]:
    """Name -> class and fields, for `truth.json`; a user's own classes are left out."""
    known = {name: each for name, each in metrics.items() if type(each).__name__ in _CLASSES}
    return {name: {"class": type(each).__name__, **_fields(each)} for name, each in known.items()}


def decode(content: Mapping[str, Mapping[str, Any]]) -> dict[str, MetricSet]:
    """The metric sets that `encode` has written.

    Raises:
        KeyError, TypeError, ValueError: the content is damaged.
    """
    return {name: _decode_one(dict(fields)) for name, fields in content.items()}


def _fields(each: Any) -> dict[str, Any]:
    return asdict(each)


def _decode_one(fields: dict[str, Any]) -> MetricSet:
    cls = _CLASSES[fields.pop("class")]
    if "rule" in fields:
        fields["rule"] = EventRule(**fields["rule"])
    made: MetricSet = cls(**fields)
    return made
