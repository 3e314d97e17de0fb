"""A run in numbers: its metrics, what it asked, what it could not read, what it cost."""

from __future__ import annotations

from collections.abc import Mapping

from vaa.metrics.localisation import localisation
from vaa.pipeline import Outcome
from vaa.protocol import Protocol
from vaa.types import Catalogue, VaaError


class NotWholeError(VaaError):
    """A run that ended, but not with everything it should have; `status` is its exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def numbers(outcome: Outcome, catalogue: Catalogue, protocol: Protocol) -> dict[str, float]:
    """The flat content of `metrics.json`; without labels the metrics are absent, the counts are not."""
    asking = [step for step in outcome.steps if not step.embedding]
    embedding = [step for step in outcome.steps if step.embedding]
    reports = outcome.reports.values()
    counts = {
        "videos": len(reports),
        "frames": sum(report.video.n_frames for report in reports),
        "failed": len(outcome.failures),
        "answers": sum(report.answers for report in reports),
        "unread": sum(report.unread for report in reports),
        "questions_asked": sum(step.asked for step in asking),
        "questions_remembered": sum(step.remembered for step in asking),
        "embeddings_asked": sum(step.asked for step in embedding),
        "embeddings_remembered": sum(step.remembered for step in embedding),
    }
    if any(report.gated is not None for report in reports):
        counts["gated"] = sum(bool(report.gated) for report in reports)
    counts |= {f"videos_asked/{step.stage}": step.videos for step in asking if step.asked + step.remembered}
    found = protocol.evaluate(catalogue, outcome.reports)
    located = {id_: report for id_, report in outcome.reports.items() if report.truth and report.truth.boxes}
    if any(report.boxes for report in located.values()):
        truths = {id_: report.truth.boxes for id_, report in located.items() if report.truth}
        found |= localisation(truths, {id_: report.boxes for id_, report in located.items()})
    return found | counts


def seconds(outcome: Outcome) -> dict[str, float]:
    """Stage -> seconds it took."""
    return {f"seconds/{step.stage}": round(step.seconds, 3) for step in outcome.steps}


def check(metrics: Mapping[str, float], max_unread: float) -> None:
    """Refuse to call a run whole that is not; its files are written all the same.

    Raises:
        NotWholeError: videos failed (status 3), or more than the share `max_unread` of the answers says nothing (4).
    """
    unread, answers = int(metrics["unread"]), int(metrics["answers"])
    if unread > max_unread * answers:
        raise NotWholeError(
            f"{unread} of {answers} answers could not be read, more than max_unread={max_unread}: these numbers mean "
            "nothing. Look at the answers in reports/, then at the prompt, the model or the reader.",
            status=4,
        )
    if metrics["failed"]:
        raise NotWholeError(f"{int(metrics['failed'])} videos failed: failures.json says which and why.", status=3)
