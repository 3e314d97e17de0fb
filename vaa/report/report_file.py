"""`reports/VIDEO.json`: what each stage changed in a video's report, written and read back into reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaa.frame_times import FrameTimes
from vaa.types import (
    Box,
    Definition,
    DefinitionTrack,
    GroundTruth,
    Judgement,
    Report,
    Response,
    ScoreTrack,
    Segment,
    SuspiciousWindow,
    Video,
)

_FIELDS = tuple(field.name for field in fields(Report) if field.name not in ("video", "truth"))


def changed_fields(before: Report, after: Report) -> dict[str, Any]:
    """The fields that a stage has set: name -> the new value; video and ground truth are never among them."""
    return {name: getattr(after, name) for name in _FIELDS if getattr(after, name) is not getattr(before, name)}


def encode(video: Video, history: Mapping[str, Report]) -> dict[str, Any]:
    """The content of the file: the video, and for each stage of `history` what it changed, in order."""
    before, stages = Report(video), {}
    for name, after in history.items():
        stages[name] = {field: _encode_value(value) for field, value in changed_fields(before, after).items()}
        before = after
    return {"video": _encode_video(video), "stages": stages}


def decode(content: Mapping[str, Any], truth: GroundTruth | None) -> tuple[Report, dict[str, Report]]:
    """The report before the first stage, and the report after each stage; null is NaN where a number belongs.

    Raises:
        KeyError, TypeError, ValueError: the content is not that of a report's file.
    """
    start = Report(_video(content["video"]), truth=truth)
    history: dict[str, Report] = {}
    report = start
    for name, changed in content["stages"].items():
        report = replace(report, **{field: _DECODERS[field](value) for field, value in changed.items()})
        history[name] = report
    return start, history


def decode_track(content: Mapping[str, Any]) -> Report:
    """The report after the last stage with nothing but its track, in half the time of `decode`.

    Raises:
        KeyError, TypeError, ValueError: the content is not that of a report's file.
    """
    tracks = [changed["track"] for changed in content["stages"].values() if "track" in changed]
    return Report(_video(content["video"]), track=_optional(_decode_track)(tracks[-1]) if tracks else None)


def _encode_value(value: Any) -> Any:
    if isinstance(value, ScoreTrack):
        return _encode_track(value)
    if isinstance(value, tuple) and value and isinstance(value[0], DefinitionTrack):
        return [{"name": each.name, "track": _encode_track(each.track)} for each in value]
    if isinstance(value, tuple) and value and isinstance(value[0], Segment):
        return [_encode_segment(each) for each in value]
    return _encode_video(value) if isinstance(value, Video) else value


def _encode_segment(segment: Segment) -> dict[str, Any]:
    """The fields of a segment; `times` only where a prompt has others than the frames' own."""
    content = {"start": segment.start, "stop": segment.stop, "frames": segment.frames, "at": segment.at}
    return content | {"times": segment.times} if segment.times else content


def _encode_video(video: Video) -> dict[str, Any]:
    """The fields of a video; `times`, in seconds, only where the rate varies."""
    content = {field.name: getattr(video, field.name) for field in fields(Video)}
    times = content.pop("times")
    return content if times is None else {**content, "times": times.values}


def _encode_track(track: ScoreTrack) -> dict[str, Any]:
    """With a regular `step` between starts only those at which the value changes, else all; `stop` ends the last."""
    starts, steps = track.starts, np.diff(track.starts)
    stop = int(starts[-1] + steps[-1]) if len(steps) else None
    if len(steps) and (steps == steps[0]).all():
        written = np.flatnonzero(np.diff(track.values, prepend=np.nan) != 0)
        return {
            "starts": starts[written],
            "values": track.values[written],
            "stop": stop,
            "step": int(steps[0]),
        }
    return {"starts": starts, "values": track.values, "stop": stop, "step": None}


def _decode_track(content: Mapping[str, Any]) -> ScoreTrack:
    starts, values = np.array(content["starts"], dtype=np.int64), np.array(content["values"], dtype=np.float64)
    stop, step = content["stop"], content["step"]
    if step is not None:
        values = np.repeat(values, np.diff(starts, append=stop) // step)
        starts = np.arange(starts[0], stop, step, dtype=np.int64)
    return ScoreTrack(values=values, starts=starts)


def _video(content: Mapping[str, Any]) -> Video:
    times = content.get("times")
    read = None if times is None else FrameTimes(np.array(times, dtype=np.float64))
    return Video(**{**content, "path": Path(content["path"]), "times": read})


def _segment(content: Mapping[str, Any]) -> Segment:
    return Segment(
        start=content["start"],
        stop=content["stop"],
        frames=tuple(content["frames"]),
        at=content["at"],
        times=tuple(content.get("times", ())),  # runs of earlier versions have none
    )


def _response(content: Mapping[str, Any]) -> Response:
    return Response(
        text=content["text"],
        score=_number(content["score"]),
        description=content["description"],
        thoughts=content.get("thoughts", ""),  # runs of earlier versions have none
        definition=content.get("definition", ""),
    )


def _definition(content: Mapping[str, Any]) -> Definition:
    return Definition(name=content["name"], wording=content["wording"], exceptions=tuple(content["exceptions"]))


def _definition_track(content: Mapping[str, Any]) -> DefinitionTrack:
    return DefinitionTrack(content["name"], _decode_track(content["track"]))


def _box(content: Mapping[str, Any]) -> Box:
    x1, y1, x2, y2 = content["xyxy"]
    return Box(frame=content["frame"], xyxy=(x1, y1, x2, y2), score=_number(content["score"]))


def _suspicious_window(content: Mapping[str, Any]) -> SuspiciousWindow:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else _number(value) for name, value in content.items()
    }
    return SuspiciousWindow(**values)


def _judgement(content: Mapping[str, Any]) -> Judgement:
    return Judgement(**{name: _number(value) for name, value in content.items()})


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _each(decode_one: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda items: tuple(map(decode_one, items))


def _optional(decode_one: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else decode_one(value)


def _same(value: Any) -> Any:
    return value


_DECODERS: Mapping[str, Callable[[Any], Any]] = dict.fromkeys(_FIELDS, _same) | {
    "segments": _each(_segment),
    "responses": _each(_response),
    "track": _optional(_decode_track),
    "suspicious_window": _optional(_suspicious_window),
    "boxes": _each(_box),
    "located_frames": tuple,
    "drawn_video": _optional(_video),
    "judgement": _optional(_judgement),
    "definition": _optional(_definition),
    "definition_tracks": _each(_definition_track),
}
