"""Answers that authors released, replayed as their files are laid out; no video and no GPU is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vaa.types import Question, Unanswered, VaaError

_SEGMENT = 30  # frames a released CoReVAD answer stands for


@dataclass(frozen=True)
class Recorded:
    """Finds the answer to a question by its purpose, video and frame under `root`.

    CoReVAD's answers (purpose `verdict`) are `VLM_responses*.json`, video -> one answer a 30-frame segment; `verdict`
    names the file where there are several.
    """

    root: str
    verdict: str | None

    @property
    def identity(self) -> None:
        """None: reading the file again is as good as remembering."""
        return None

    def answer(self, questions: Sequence[Question]) -> Iterator[str | Unanswered]:
        """What was recorded, or why there is nothing."""
        for question in questions:
            if question.purpose != "verdict":
                raise VaaError(f"Nothing recorded under {self.root} answers the purpose '{question.purpose}'.")
            yield self._verdict(question)

    def release(self) -> None:
        """Nothing is held."""

    def _verdict(self, question: Question) -> str | Unanswered:
        file = _find(Path(self.root), self.verdict or "VLM_responses*", "verdict")
        answers = _read(file).get(question.video.id)
        if not isinstance(answers, list):
            return Unanswered(f"{file.name} has no answers for it")
        segment, rest = divmod(question.at, _SEGMENT)
        if rest:
            raise VaaError(
                f"{file.name} holds answers for windows of {_SEGMENT} frames, not one at frame {question.at}."
            )
        return str(answers[segment]) if segment < len(answers) else Unanswered(f"{file.name} ends before its end")


@cache
def _find(root: Path, pattern: str, key: str) -> Path:
    if not root.is_dir():
        raise VaaError(f"vlm.root={root}: no such folder.")
    found = sorted(root.glob(f"{pattern}.json"))
    if len(found) != 1:
        names = ", ".join(file.stem for file in found or sorted(root.glob("*.json"))) or "none"
        raise VaaError(f"{root}: {len(found)} files fit {pattern}.json; name one by vlm.{key}=NAME of: {names}.")
    return found[0]


@cache
def _read(file: Path) -> Mapping[str, object]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VaaError(f"{file}: not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise VaaError(f"{file}: expected a mapping of videos to answers.")
    return content
