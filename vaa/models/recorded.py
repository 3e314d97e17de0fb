"""Answers that authors released, replayed from their own files; neither videos nor a GPU are needed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

from vaa.data.base import known_names, video_id
from vaa.data.boxes import read_boxes
from vaa.errors import ConfigError, DataError
from vaa.models.base import Requirements
from vaa.types import XYXY, ChooseQuery, Floats, GenerateQuery, NoAnswer, Video, file_name, local_path

_SEGMENT = 30  # frames of a released CoReVAD answer


@dataclass(frozen=True, kw_only=True)
class RecordedModel:
    """Looks up the answer to a query by its purpose, video and frame in the files under `root`.

    - verdict (CoReVAD): `VLM_responses*.json`, video -> a list with one answer per 30-frame segment, raw or cleaned.
      If `verdict` is a folder (VERA): one file per video, frame -> {"start", "end", "score"} with a score of 0 or 1.
    - caption, rating, rerating (URF, LAVAD), summary (LAVAD): one file per video, frame -> answer, somewhere under
      `captions/` (captions and summaries), `scores/`, `refined_scores/`.
    - tags (URF): `suspicious_part_phrases.json` somewhere under `scores/`, video -> phrases.
    - box (URF): a file under `localisations/`, a list with an entry per annotated frame, in the order of the boxes
      under `annotations/`.
    - description (URF): a file under `understanding/`, video -> text.

    `resized_size` and `frame_size`, [width, height], map boxes from the resized frames that a model gave them for to
    those of the video; without them boxes are taken to be in pixels of the frame.

    The other fields name the file (verdict, localisation, understanding) or folder to use if there are several. A
    video's name may lack its `#` there (CoReVAD's answers for XD-Violence), or have the folder of its class before it.
    """

    root: str
    verdict: str | None
    captions: str | None
    scores: str | None
    refined_scores: str | None
    localisation: str | None
    understanding: str | None
    resized_size: Sequence[int] | None
    frame_size: Sequence[int] | None

    accepts_frames: ClassVar[bool] = True
    replays_answers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        sizes = self.resized_size, self.frame_size
        if sizes != (None, None) and not all(size and len(size) == 2 and min(size) > 0 for size in sizes):
            raise ConfigError(
                f"resized_size={self.resized_size}, frame_size={self.frame_size}: give both, as in [308, 252] and "
                "[320, 240], or neither."
            )

    def __hash__(self) -> int:
        return hash((self.root, self.verdict, self.captions, self.scores, self.refined_scores, self.localisation))

    @property
    def identity(self) -> None:
        """None: reading the file is as fast as reading the cache."""
        return None

    @property
    def requirements(self) -> Requirements:
        """Only the folder."""
        return Requirements(name=self.root)

    def generate(self, queries: Sequence[GenerateQuery]) -> Iterator[str | NoAnswer]:
        """The recorded answer to each query, in order.

        Raises:
            ConfigError: no recorded answer can have the query's purpose or frame, or a field has to name a file.
            DataError: a file is missing or cannot be read.
        """
        lookups: dict[str, Callable[[GenerateQuery], str | NoAnswer]] = {
            "verdict": self._verdict,
            "caption": partial(self._rating_or_text, "captions", self.captions),
            "summary": partial(self._rating_or_text, "captions", self.captions),
            "rating": partial(self._rating_or_text, "scores", self.scores),
            "rerating": partial(self._rating_or_text, "refined_scores", self.refined_scores),
            "tags": self._tags,
            "box": self._box,
            "description": self._description,
        }
        for query in queries:
            if query.purpose not in lookups:
                raise ConfigError(f"{self.root}: there are no recorded answers of purpose '{query.purpose}'.")
            yield lookups[query.purpose](query)

    def choose(self, queries: Sequence[ChooseQuery]) -> Iterator[Floats | NoAnswer]:
        """Not possible.

        Raises:
            ConfigError: always: authors released texts only.
        """
        raise ConfigError(f"{self.root} contains recorded texts, no probabilities: use a readout that reads texts.")

    def release(self) -> None:
        """Nothing to free."""

    def check_boxes(self) -> None:
        """Nothing to check: a missing file is an error of `generate`."""

    def to_frame(self, video: Video, xyxy: XYXY) -> XYXY:
        """A box in pixels of the frame: scaled by the two sizes, or as it is without them."""
        if self.resized_size is None or self.frame_size is None:
            return xyxy
        x, y = (size / resized for size, resized in zip(self.frame_size, self.resized_size, strict=True))
        return xyxy[0] * x, xyxy[1] * y, xyxy[2] * x, xyxy[3] * y

    def _verdict(self, query: GenerateQuery) -> str | NoAnswer:
        root = local_path(self.root)
        if self.verdict is not None and (root / self.verdict).is_dir():
            score = self._at_frame(self.verdict, "verdict", query)
            if isinstance(score, NoAnswer):
                return score
            if score not in (0, 1):
                return NoAnswer(f"{self.verdict}/ has the score {score} for frame {query.at}, which is not 0 or 1")
            return f"[{score:g}]"
        file = _find_file(root, f"{self.verdict or 'VLM_responses*'}.json", "verdict")
        answers = _of_video(_by_video(file), query.video.id)
        if not isinstance(answers, list):
            return NoAnswer(f"{file.name} has no answers for this video")
        segment, offset = divmod(query.at, _SEGMENT)
        if offset:
            raise ConfigError(f"{file.name} has one answer per {_SEGMENT} frames, none at frame {query.at}.")
        return (
            str(answers[segment]) if segment < len(answers) else NoAnswer(f"{file.name} ends before frame {query.at}")
        )

    def _rating_or_text(self, folder: str, subfolder: str | None, query: GenerateQuery) -> str | NoAnswer:
        value = self._at_frame(f"{folder}/{subfolder or '**'}", folder, query)
        if isinstance(value, str | NoAnswer):
            return value
        # Parsers do not accept exponents such as 1e-05.
        text = format(Decimal(repr(value)), "f") if _is_finite(value) else str(value)
        return f"[{text}]"

    def _at_frame(self, pattern: str, key: str, query: GenerateQuery) -> Any:
        """The entry for the query's frame in the video's file, in one of the folders that match `pattern`."""
        files = _files_by_name(local_path(self.root), pattern, key)
        names = [file_name(name) for name in known_names(query.video.id)]
        file = next((files[name] for name in names if name in files), None)
        if file is None:
            return NoAnswer(f"{pattern.removesuffix('/**')}/ has no {names[0]}")
        value = _read_mapping(file).get(str(query.at))
        if isinstance(value, dict):
            value = value.get("score")
        return NoAnswer(f"{file.name} has no answer for frame {query.at}") if value is None else value

    def _tags(self, query: GenerateQuery) -> str | NoAnswer:
        file = _find_file(local_path(self.root), f"scores/{self.scores or '**'}/suspicious_part_phrases.json", "scores")
        phrases = _of_video(_by_video(file), query.video.id)
        return NoAnswer(f"{file.name} has no tags for this video") if phrases is None else str(phrases)

    def _box(self, query: GenerateQuery) -> str | NoAnswer:
        file = _find_file(local_path(self.root), f"localisations/{self.localisation or '*'}.json", "localisation")
        entry = _recorded_boxes(local_path(self.root), file).get((query.video.id, query.at))
        if entry is None:
            return NoAnswer(f"{file.name} has no box for frame {query.at}")
        corners = entry["pred_bbox"]
        return json.dumps([{"bbox_2d": corners, "confidence": entry["confidence"]}] if corners else [])

    def _description(self, query: GenerateQuery) -> str | NoAnswer:
        file = _find_file(local_path(self.root), f"understanding/{self.understanding or '*'}.json", "understanding")
        text = _of_video(_by_video(file), query.video.id)
        return NoAnswer(f"{file.name} has no description of this video") if text is None else str(text)


def _of_video(entries: Mapping[str, object], id_: str) -> object:
    """The entry of a video under any of its names, None if there is none."""
    return next((entries[name] for name in known_names(id_) if name in entries), None)


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


@cache
def _recorded_boxes(root: Path, file: Path) -> Mapping[tuple[str, int], Mapping[str, Any]]:
    """(Video, frame) -> the recorded entry."""
    annotated = read_boxes(_find_file(root, "annotations/*_aligned.*", "annotations"))
    remaining = {video: list(boxes) for video, boxes in annotated.items()}
    entries: dict[tuple[str, int], Mapping[str, Any]] = {}
    try:
        for entry in json.loads(file.read_text(encoding="utf-8-sig")):
            box = remaining[entry["video"]].pop(0)
            if [*entry["gt_bbox"]] != [*box.xyxy] or not {"pred_bbox", "confidence"} <= entry.keys():
                raise ValueError(f"an entry of {entry['video']} is not for the next annotated frame")
            entries[entry["video"], box.frame] = entry
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise DataError(f"{file}: not a list of boxes in the order of the annotations: {error!r}") from error
    return entries


@cache
def _files_by_name(root: Path, pattern: str, key: str) -> Mapping[str, Path]:
    """File name -> path of the JSON files in the folders that match `pattern`."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder.")
    files: dict[str, Path] = {}
    for file in sorted(root.glob(f"{pattern}/*.json")):
        if files.setdefault(file.name, file) != file:
            raise ConfigError(
                f"{root}: {file.name} is in {files[file.name].parent.name}/ and in {file.parent.name}/; "
                f"choose one by {key}=FOLDER."
            )
    return files


@cache
def _find_file(root: Path, pattern: str, key: str) -> Path:
    """The one file that matches `pattern`."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder.")
    files = sorted(root.glob(pattern))
    if len(files) != 1:
        names = ", ".join(file.stem for file in files or sorted(root.glob("*.json"))) or "none"
        raise ConfigError(f"{root}: {len(files)} files match {pattern}; choose one by {key}=NAME of: {names}.")
    return files[0]


@cache
def _by_video(file: Path) -> Mapping[str, object]:
    """The entries of a file under the names in it, and under these without folder and suffix."""
    entries = _read_mapping(file)
    return {video_id(name): entry for name, entry in entries.items()} | {**entries}


@cache
def _read_mapping(file: Path) -> Mapping[str, object]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: expected a mapping of videos to answers.")
    return content
