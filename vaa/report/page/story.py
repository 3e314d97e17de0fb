"""What the page shows of one video: its stages' tracks, texts and boxes, what is true, what stood out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaa.report.page.tracks import steps

_FACTS = ("tags", "gated", "summary", "suspicious_window", "judgement")


def story(
    report: Mapping[str, Any], truth: Mapping[str, Any] | None, alerts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The content of a video's data file; each text is there once, stages name it by its number."""
    about, texts = report["video"], {"": 0}
    segments = [[s["start"], s["stop"], s["at"]] for s in last(report["stages"], "segments") or []]
    stages, before = [], None
    for name, changed in report["stages"].items():
        stage = _stage(name, changed, texts, about["n_frames"])
        if stage.get("track") == before:  # nothing that could be seen has changed
            stage.pop("track", None)
        before = stage.get("track", before)
        stages.append(stage)
    known = dict(truth or {})
    return {
        "id": about["id"],
        "frames": about["n_frames"],
        "fps": about["fps"] or 25.0,
        "labels": known.get("anomalous"),
        "class": known.get("class", ""),
        "reference": known.get("text", ""),
        "annotated": known.get("boxes", []),
        "segments": segments,
        "stages": stages,
        "texts": list(texts),
        "alerts": list(alerts),
    }


def last(stages: Mapping[str, Mapping[str, Any]], field: str) -> Any:
    """What the last stage that changed this field of the report made of it; None if none did."""
    return next((changed[field] for changed in reversed(list(stages.values())) if field in changed), None)


def _stage(name: str, changed: Mapping[str, Any], texts: dict[str, int], n_frames: int) -> dict[str, Any]:
    stage: dict[str, Any] = {"name": name}
    if changed.get("track"):
        stage["track"] = steps(changed["track"], n_frames)
    if changed.get("responses"):
        said = changed["responses"]
        stage["texts"] = [texts.setdefault(r["text"], len(texts)) for r in said]
        stage["read"] = [texts.setdefault(r["description"], len(texts)) for r in said]
        stage["scores"] = [r["score"] for r in said]
    if changed.get("boxes") or changed.get("located_frames"):
        stage["boxes"] = [[box["frame"], *box["xyxy"], box["score"]] for box in changed.get("boxes") or []]
        stage["located_frames"] = changed.get("located_frames") or []
    return stage | {fact: changed[fact] for fact in _FACTS if changed.get(fact) not in (None, "")}
