"""A prompt is what we ask AND how we read the answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from string import Template

from vaa.errors import VaaError
from vaa.types import Query, Response, Segment, Video

log = logging.getLogger("vaa")
IMAGE = "<image>"


@dataclass(frozen=True)
class Prompt:
    """A question with `$placeholders`, and the reader of its answer.

    A reader may say in `until`, a regular expression, when an answer is complete: the model need not go on.
    `file` replaces `text` by the contents of a text file, so that any wording can be tried.
    """

    purpose: str
    system: str
    text: str
    file: str | None
    max_new_tokens: int
    parser: Callable[[str], Response]

    def query(self, video: Video, segment: Segment, **fields: str) -> Query:
        """Ask about a segment; `$frames` lists its frames one a line where the text says they go.

        Raises:
            VaaError: the text file cannot be read, or the text has a placeholder that this stage does not fill.
        """
        wording = self._wording()
        unused = set(fields) - _asked_for(wording) - _asked_for(self.system)
        if unused:
            _say_unused(self.purpose, ", ".join(f"${name}" for name in sorted(unused)))
        listing = "\n".join(f"Frame{k}: {IMAGE}" for k in range(1, len(segment.frames) + 1))
        return Query(
            purpose=self.purpose,
            video=video,
            at=segment.at,
            frames=segment.frames,
            text=self._fill(wording, {"frames": listing, **fields}),
            system=self._fill(self.system, fields),
            max_new_tokens=self.max_new_tokens,
            stop_pattern=getattr(self.parser, "until", ""),
        )

    def read(self, answer: str) -> Response:
        """What the answer says."""
        return self.parser(answer)

    def _wording(self) -> str:
        if self.file is None:
            return self.text
        try:
            return Path(self.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise VaaError(f"prompt.file={self.file} ({self.purpose}): cannot be read: {error}") from error

    def _fill(self, text: str, fields: dict[str, str]) -> str:
        template = Template(text)
        if not template.is_valid():
            raise VaaError(f"The {self.purpose} prompt has a stray '$': write '$$' for a dollar sign.")
        unknown = sorted(set(template.get_identifiers()) - set(fields))
        if unknown:
            known = ", ".join(f"${name}" for name in sorted(fields)) or "none"
            raise VaaError(f"The {self.purpose} prompt asks for ${unknown[0]}; placeholders here: {known}.")
        return template.substitute(fields)


@lru_cache(maxsize=64)
def _asked_for(text: str) -> frozenset[str]:
    return frozenset(Template(text).get_identifiers())


@cache
def _say_unused(purpose: str, names: str) -> None:
    log.warning("The %s prompt nowhere says %s: the model is not told.", purpose, names)


def truncate_answer(query: Query, text: str) -> str:
    """An answer up to where its contract is complete; all of it where it never is."""
    found = re.search(query.stop_pattern, text) if query.stop_pattern else None
    return text[: found.end()] if found else text
