"""A run in numbers: its metrics, what it asked, what it could not read, what it cost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from vaa.errors import TooManyFailedError, TooManyUnparsedError
from vaa.evaluation.localisation import localisation
from vaa.evaluation.protocol import Protocol
from vaa.evaluation.understanding import judged, understanding
from vaa.pipeline import RunResult
from vaa.types import Dataset, Report


def numbers(result: RunResult, dataset: Dataset, protocol: Protocol, meteor_jar: bool) -> dict[str, float]:
    """The flat content of `metrics.json`; without labels the metrics are absent, the counts are not.

    `meteor_jar` adds METEOR by its original Java program.
    """
    asking = [step for step in result.stats if not step.embedding]
    embedding = [step for step in result.stats if step.embedding]
    reports = result.reports.values()
    counts = {
        "videos": len(reports),
        "frames": sum(report.video.n_frames for report in reports),
        "failed": len(result.failures),
        "answers": sum(report.n_answers for report in reports),
        "unparsed": sum(report.n_unparsed for report in reports),
        **_shares(result),
        "model_queries": sum(step.n_queries for step in asking),
        "cache_hits": sum(step.n_cached for step in asking),
        "embedding_queries": sum(step.n_queries for step in embedding),
        "embedding_cache_hits": sum(step.n_cached for step in embedding),
    }
    if any(report.gated is not None for report in reports):
        counts["gated"] = sum(bool(report.gated) for report in reports)
    counts |= {f"videos_queried/{step.stage}": step.n_videos for step in asking if step.n_queries + step.n_cached}
    return (
        protocol.evaluate(dataset, result.reports)
        | _localisation(reports)
        | _understanding(reports, meteor_jar)
        | counts
    )


def _shares(result: RunResult) -> dict[str, float]:
    """What `max_failed` and `max_unparsed` are held against; a run without videos, or without answers, lacks none."""
    reports, failed = result.reports.values(), len(result.failures)
    answers = sum(report.n_answers for report in reports)
    unparsed = sum(report.n_unparsed for report in reports)
    return {"failed_share": failed / max(1, failed + len(reports)), "unparsed_share": unparsed / max(1, answers)}


def _localisation(reports: Collection[Report]) -> dict[str, float]:
    """Of the annotated frames, where all of them were looked at."""
    known = {r.video.id: r.truth.boxes for r in reports if r.truth and r.truth.boxes}
    if not known or any(not {box.frame for box in known.get(r.video.id, ())} <= set(r.located_frames) for r in reports):
        return {}
    return localisation(known, {report.video.id: report.boxes for report in reports})


def _understanding(reports: Collection[Report], meteor_jar: bool) -> dict[str, float]:
    """Of the videos that were described and have a reference; a judge's marks where one was asked."""
    found: dict[str, float] = {}
    if any(report.summary and report.truth and report.truth.text for report in reports):
        references = {report.video.id: report.truth.text for report in reports if report.truth}
        found |= understanding(references, {report.video.id: report.summary for report in reports}, meteor_jar)
    if any(report.judgement for report in reports):
        found |= judged(report.judgement for report in reports)
    return found


def seconds(result: RunResult) -> dict[str, float]:
    """Stage -> seconds it took."""
    return {f"seconds/{step.stage}": round(step.seconds, 3) for step in result.stats}


def check(metrics: Mapping[str, float], max_unparsed: float, max_failed: float) -> None:
    """Refuse to call a run whole that is not; its files are written all the same.

    Raises:
        TooManyUnparsedError: more than the share `max_unparsed` of the answers is unparsed.
        TooManyFailedError: more than the share `max_failed` of the videos failed.
    """
    for reason, status in lacking(metrics, max_unparsed, max_failed):
        raise (TooManyUnparsedError if status == TooManyUnparsedError.exit_status else TooManyFailedError)(reason)


def lacking(metrics: Mapping[str, float | None], max_unparsed: float, max_failed: float) -> Iterator[tuple[str, int]]:
    """Why a run of these numbers is not whole, and the exit status that says so; the worst first."""
    unparsed, answers, failed, videos = (
        int(metrics.get(key) or 0) for key in ("unparsed", "answers", "failed", "videos")
    )
    if unparsed > max_unparsed * answers:
        yield (
            f"{unparsed} of {answers} answers could not be read, more than max_unparsed={max_unparsed}: these numbers "
            "mean nothing. Look at the answers in reports/, then at the prompt, the model or the reader.",
            4,
        )
    if failed > max_failed * (videos + failed):
        yield (
            f"{failed} of {videos + failed} videos failed, more than max_failed={max_failed}: failures.json says which "
            "and why.",
            3,
        )
