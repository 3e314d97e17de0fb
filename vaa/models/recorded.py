"""Answers that authors released, replayed as their files are laid out; no video and no GPU is needed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

from vaa.data.boxes import read_boxes
from vaa.errors import ConfigError, VaaError
from vaa.models.base import Requirements
from vaa.types import XYXY, ChooseQuery, Floats, GenerateQuery, NoAnswer, Video, file_name

_SEGMENT = 30  # frames a released CoReVAD answer stands for


@dataclass(frozen=True)
class RecordedModel:
    """Finds the answer to a question by its purpose, video and frame under `root`.

    - verdict (CoReVAD): `VLM_responses*.json`, video -> one answer a 30-frame segment; `verdict` names one of several.
    - caption, rating, rerating (URF): a file a video, frame -> answer, somewhere under `captions/`, `scores/`,
      `refined_scores/`; the field of that name picks one of several folders there.
    - tags (URF): `suspicious_part_phrases.json` somewhere under `scores/`, video -> phrases.
    - box (URF): a file under `localisations/`, a list with an entry an annotated frame, in the order of the boxes under
      `annotations/`; description (URF): a file under `understanding/`, video -> text. The fields `localisation` and
      `understanding` name one of several.
    """

    root: str
    verdict: str | None
    captions: str | None
    scores: str | None
    refined_scores: str | None
    localisation: str | None
    understanding: str | None

    @property
    def identity(self) -> None:
        """None: reading the file again is as good as remembering."""
        return None

    accepts_frames: ClassVar[bool] = True

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """What was recorded, or why there is nothing."""
        known: dict[str, Callable[[GenerateQuery], str | NoAnswer]] = {
            "verdict": self._verdict,
            "caption": partial(self._at_frame, "captions", self.captions),
            "rating": partial(self._at_frame, "scores", self.scores),
            "rerating": partial(self._at_frame, "refined_scores", self.refined_scores),
            "tags": self._tags,
            "box": self._box,
            "description": self._description,
        }
        for query in queries:
            if query.purpose not in known:
                raise VaaError(f"Nothing recorded under {self.root} answers the purpose '{query.purpose}'.")
            yield known[query.purpose](query)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """Not possible.

        Raises:
            ConfigError: always: authors released texts only.
        """
        raise ConfigError(f"{self.root} holds recorded texts, no probabilities: choose a readout that reads texts.")

    @property
    def requirements(self) -> Requirements:
        """Only the folder."""
        return Requirements(name=self.root)

    def to_frame(self, video: Video, xyxy: XYXY) -> XYXY:
        """Recorded boxes are in the frames' own pixels."""
        return xyxy

    def release(self) -> None:
        """Nothing is held."""

    def _verdict(self, query: GenerateQuery) -> str | NoAnswer:
        file = _find(Path(self.root), f"{self.verdict or 'VLM_responses*'}.json", "verdict")
        answers = _read(file).get(query.video.id)
        if not isinstance(answers, list):
            return NoAnswer(f"{file.name} has no answers for it")
        segment, rest = divmod(query.at, _SEGMENT)
        if rest:
            raise VaaError(f"{file.name} holds answers for windows of {_SEGMENT} frames, none at frame {query.at}.")
        return str(answers[segment]) if segment < len(answers) else NoAnswer(f"{file.name} ends before its end")

    def _tags(self, query: GenerateQuery) -> str | NoAnswer:
        file = _find(Path(self.root), f"scores/{self.scores or '**'}/suspicious_part_phrases.json", "scores")
        phrases = _read(file).get(query.video.id)
        return NoAnswer(f"{file.name} has no tags for it") if phrases is None else str(phrases)

    def _at_frame(self, folder: str, chosen: str | None, query: GenerateQuery) -> str | NoAnswer:
        name = file_name(query.video.id)
        files = _index(Path(self.root), f"{folder}/{chosen or '**'}", folder)
        file = files.get(name) or files.get(file_name(f"{query.video.id}.mp4"))
        if file is None:
            return NoAnswer(f"{folder}/ holds no {name}")
        said = _read(file).get(str(query.at))
        if said is None:
            return NoAnswer(f"{file.name} has nothing for frame {query.at}")
        # Not as Python writes it, 1e-05: models do not, so no reader knows it.
        return said if isinstance(said, str) else f"[{Decimal(repr(said)):f}]" if _is_number(said) else f"[{said}]"

    def _box(self, query: GenerateQuery) -> str | NoAnswer:
        file = _find(Path(self.root), f"localisations/{self.localisation or '*'}.json", "localisation")
        entry = _boxes(Path(self.root), file).get((query.video.id, query.at))
        if entry is None:
            return NoAnswer(f"{file.name} has no box for frame {query.at}")
        corners = entry["pred_bbox"]
        return json.dumps([{"bbox_2d": corners, "confidence": entry["confidence"]}] if corners else [])

    def _description(self, query: GenerateQuery) -> str | NoAnswer:
        file = _find(Path(self.root), f"understanding/{self.understanding or '*'}.json", "understanding")
        text = _read(file).get(query.video.id)
        return NoAnswer(f"{file.name} has no description of it") if text is None else str(text)


def _is_number(said: object) -> bool:
    return isinstance(said, float) and math.isfinite(said)


@cache
def _boxes(root: Path, file: Path) -> Mapping[tuple[str, int], Mapping[str, Any]]:
    """(Video, frame) -> the entry recorded for it."""
    annotated = read_boxes(_find(root, "annotations/*_aligned.*", "annotations"))
    waiting = {video: list(boxes) for video, boxes in annotated.items()}
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    try:
        for entry in json.loads(file.read_text(encoding="utf-8-sig")):
            box = waiting[entry["video"]].pop(0)
            if [*entry["gt_bbox"]] != [*box.xyxy] or not {"pred_bbox", "confidence"} <= entry.keys():
                raise ValueError(f"an entry of {entry['video']} is not for the frame annotated next")
            found[entry["video"], box.frame] = entry
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise VaaError(f"{file}: not a list of boxes in the order of the annotations: {error!r}") from error
    return found


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
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise VaaError(f"{file}: not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise VaaError(f"{file}: expected a mapping of videos to answers.")
    return content
