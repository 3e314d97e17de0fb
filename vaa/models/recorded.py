"""Answers that authors released, replayed as their files are laid out; no video and no GPU is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vaa.types import Question, Unanswered, VaaError, file_name

_SEGMENT = 30  # frames a released CoReVAD answer stands for


@dataclass(frozen=True)
class Recorded:
    """Finds the answer to a question by its purpose, video and frame under `root`.

    - verdict (CoReVAD): `VLM_responses*.json`, video -> one answer a 30-frame segment; `verdict` names one of several.
    - caption, rating, rerating (URF): a file a video, frame -> answer, somewhere under `captions/`, `scores/`,
      `refined_scores/`; the field of that name picks one of several folders there.
    - tags (URF): `suspicious_part_phrases.json` somewhere under `scores/`, video -> phrases.
    """

    root: str
    verdict: str | None
    captions: str | None
    scores: str | None
    refined_scores: str | None

    @property
    def identity(self) -> None:
        """None: reading the file again is as good as remembering."""
        return None

    def answer(self, questions: Sequence[Question]) -> Iterator[str | Unanswered]:
        """What was recorded, or why there is nothing."""
        folders = {
            "caption": ("captions", self.captions),
            "rating": ("scores", self.scores),
            "rerating": ("refined_scores", self.refined_scores),
        }
        for question in questions:
            if question.purpose == "verdict":
                yield self._verdict(question)
            elif question.purpose == "tags":
                yield self._tags(question)
            elif question.purpose in folders:
                yield self._at_frame(question, *folders[question.purpose])
            else:
                raise VaaError(f"Nothing recorded under {self.root} answers the purpose '{question.purpose}'.")

    def release(self) -> None:
        """Nothing is held."""

    def _verdict(self, question: Question) -> str | Unanswered:
        file = _find(Path(self.root), f"{self.verdict or 'VLM_responses*'}.json", "verdict")
        answers = _read(file).get(question.video.id)
        if not isinstance(answers, list):
            return Unanswered(f"{file.name} has no answers for it")
        segment, rest = divmod(question.at, _SEGMENT)
        if rest:
            raise VaaError(f"{file.name} holds answers for windows of {_SEGMENT} frames, none at frame {question.at}.")
        return str(answers[segment]) if segment < len(answers) else Unanswered(f"{file.name} ends before its end")

    def _tags(self, question: Question) -> str | Unanswered:
        file = _find(Path(self.root), f"scores/{self.scores or '**'}/suspicious_part_phrases.json", "scores")
        phrases = _read(file).get(question.video.id)
        return Unanswered(f"{file.name} has no tags for it") if phrases is None else str(phrases)

    def _at_frame(self, question: Question, folder: str, chosen: str | None) -> str | Unanswered:
        name = file_name(question.video.id)
        files = _index(Path(self.root), f"{folder}/{chosen or '**'}", folder)
        file = files.get(name) or files.get(file_name(f"{question.video.id}.mp4"))
        if file is None:
            return Unanswered(f"{folder}/ holds no {name}")
        said = _read(file).get(str(question.at))
        if said is None:
            return Unanswered(f"{file.name} has nothing for frame {question.at}")
        return said if isinstance(said, str) else f"[{said}]"


@cache
def _index(root: Path, pattern: str, key: str) -> Mapping[str, Path]:
    """Name -> file of a folder with a file a video."""
    if not root.is_dir():
        raise VaaError(f"{root}: no such folder.")
    found: dict[str, Path] = {}
    for file in sorted(root.glob(f"{pattern}/*.json")):
        if found.setdefault(file.name, file) != file:
            raise VaaError(
                f"{root}: {file.name} lies in {found[file.name].parent.name}/ and in {file.parent.name}/; "
                f"pick one by {key}=FOLDER."
            )
    return found


@cache
def _find(root: Path, pattern: str, key: str) -> Path:
    if not root.is_dir():
        raise VaaError(f"{root}: no such folder.")
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        names = ", ".join(file.stem for file in found or sorted(root.glob("*.json"))) or "none"
        raise VaaError(f"{root}: {len(found)} files fit {pattern}; name one by {key}=NAME of: {names}.")
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
