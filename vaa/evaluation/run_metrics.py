"""The numbers of a run: detection metrics, boxes, texts, and how many queries and failures there were."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from vaa.errors import TooManyFailedError, TooManyUnparsedError
from vaa.evaluation.alert_intervals import Interval
from vaa.evaluation.definitions import definition_metrics
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.events import event_metrics
from vaa.evaluation.localisation import localisation
from vaa.evaluation.understanding import judge_metrics, understanding
from vaa.pipeline import StageStats
from vaa.types import Report


def run_metrics(
    evaluation: Evaluation,
    *,
    meteor_jar: bool,
    left_out: int = 0,
    alerts: Mapping[str, Sequence[Interval]] | None = None,
) -> dict[str, float]:
    """The numbers of `metrics.json`; without labels the detection metrics are absent, the counts are not.

    `meteor_jar` adds METEOR by its original Java program. `left_out` is that of the data set. `alerts`, by video, add
    the metrics of events.
    """
    reports = evaluation.reports.values()
    chat = [stats for stats in evaluation.stats if not stats.embedding]
    encoder = [stats for stats in evaluation.stats if stats.embedding]
    failed = len(evaluation.failures)
    answers = sum(report.n_answers for report in reports)
    unparsed = sum(report.n_unparsed for report in reports)
    counts = {
        "videos": len(reports),
        "frames": sum(report.video.n_frames for report in reports),
        "failed": failed,
        "answers": answers,
        "unparsed": unparsed,
        "failed_share": failed / max(1, failed + len(reports)),
        "unparsed_share": unparsed / max(1, answers),
        "model_queries": sum(stats.n_queries for stats in chat),
        "cache_hits": sum(stats.n_cached for stats in chat),
        "embedding_queries": sum(stats.n_queries for stats in encoder),
        "embedding_cache_hits": sum(stats.n_cached for stats in encoder),
    }
    if left_out:
        counts["left_out"] = left_out
    if any(report.gated is not None for report in reports):
        counts["gated"] = sum(bool(report.gated) for report in reports)
    counts |= {f"videos_queried/{stats.stage}": stats.n_videos for stats in chat if stats.n_queries + stats.n_cached}
    detection = evaluation.metrics | definition_metrics(evaluation)
    if alerts is not None:
        videos = (evaluation.reports[video].video for video in evaluation.labelled)
        detection = detection | event_metrics(videos, evaluation.labels, alerts)
    return detection | _localisation(reports) | _understanding(reports, meteor_jar) | counts


def _localisation(reports: Collection[Report]) -> dict[str, float]:
    """TIoU, where boxes were queried on all annotated frames."""
    truths = {r.video.id: r.truth.boxes for r in reports if r.truth and r.truth.boxes}
    if not truths or any(
        not {box.frame for box in truths.get(r.video.id, ())} <= set(r.located_frames) for r in reports
    ):
        return {}
    return localisation(truths, {report.video.id: report.boxes for report in reports})


def _understanding(reports: Collection[Report], meteor_jar: bool) -> dict[str, float]:
    """Metrics of the videos that have a summary and a reference; a judge's marks where there are some."""
    metrics: dict[str, float] = {}
    if any(report.summary and report.truth and report.truth.text for report in reports):
        references = {report.video.id: report.truth.text for report in reports if report.truth}
        metrics |= understanding(references, {report.video.id: report.summary for report in reports}, meteor_jar)
    if any(report.judgement for report in reports):
        metrics |= judge_metrics(report.judgement for report in reports)
    return metrics


_PROMPT_REMEDY = (
    '\nIn a prompt file, ask for that form in so many words ("Reply with nothing but ..."), as the texts in '
    "conf/prompt/ do, or choose the parser of another form (prompt.parser._target_, docs/how-to/prompt.md)."
)


def stage_seconds(stats: Collection[StageStats]) -> dict[str, float]:
    """`seconds/STAGE` -> the seconds it took."""
    return {f"seconds/{each.stage}": round(each.seconds, 3) for each in stats}


def check_complete(
    metrics: Mapping[str, float], *, max_unparsed: float, max_failed: float, first_unparsed: str = ""
) -> None:
    """Check the shares of failed videos and unparsed answers; the files of the run are written all the same.

    `first_unparsed` is a message about the first unparsed answer.

    Raises:
        TooManyUnparsedError: more than the share `max_unparsed` of the answers could not be parsed.
        TooManyFailedError: more than the share `max_failed` of the videos failed.
    """
    for error in incomplete(metrics, max_unparsed=max_unparsed, max_failed=max_failed, first_unparsed=first_unparsed):
        raise error


def incomplete(
    metrics: Mapping[str, float | None], *, max_unparsed: float, max_failed: float, first_unparsed: str = ""
) -> Iterator[TooManyFailedError | TooManyUnparsedError]:
    """Why a run with these numbers is incomplete, the most serious reason first."""
    unparsed, answers, failed, videos = (
        int(metrics.get(key) or 0) for key in ("unparsed", "answers", "failed", "videos")
    )
    if unparsed > max_unparsed * answers:
        yield TooManyUnparsedError(
            f"{unparsed} of {answers} answers could not be parsed, more than max_unparsed={max_unparsed}: the metrics "
            "mean nothing. See the answers in reports/, then check the prompt, the model or the parser."
            + (f"\nThe first of them: {first_unparsed}{_PROMPT_REMEDY}" if first_unparsed else "")
        )
    if failed > max_failed * (videos + failed):
        yield TooManyFailedError(
            f"{failed} of {videos + failed} videos failed, more than max_failed={max_failed}: failures.json says which "
            "and why."
        )
