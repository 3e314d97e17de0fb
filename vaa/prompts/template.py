"""Prompts: the text of a query and the parser of its answer."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from string import Template

from vaa.errors import ConfigError, require_at_least
from vaa.prompts.definitions import definition_fields
from vaa.prompts.parsers import Parser
from vaa.prompts.thoughts import split_thoughts
from vaa.types import ChatQuery, ChooseQuery, Definition, GenerateQuery, Response, Segment, Video, local_path

log = logging.getLogger("vaa")
IMAGE = "<image>"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A system and a user message with `$placeholders`, and the parser of the answer.

    `purpose` names the prompt in messages and selects recorded answers. `definition_text` replaces `system` and `text`
    where a definition is given (`watch_for`); it contains `$definition` and `$exceptions`, and is null for a prompt
    that does not ask for anomalies. `file`, the path of a text file, replaces `text` and `definition_text`.
    """

    purpose: str
    system: str
    text: str
    definition_text: str | None
    file: str | None
    max_new_tokens: int
    parser: Parser

    def __post_init__(self) -> None:
        require_at_least(1, max_new_tokens=self.max_new_tokens)

    @property
    def takes_definition(self) -> bool:
        """Whether a definition changes the query."""
        return self.definition_text is not None

    def query(
        self, video: Video, segment: Segment, definition: Definition | None = None, /, **fields: str
    ) -> GenerateQuery:
        """A query about a segment; `$frames` in the text becomes a list of its frames, one per line.

        Raises:
            ConfigError: the text file cannot be read, or a message has a placeholder that this stage does not fill.
        """
        text, system = self._messages(segment, definition, fields)
        return GenerateQuery(
            purpose=self.purpose,
            video=video,
            at=segment.at,
            frames=segment.frames,
            times=segment.times,
            text=text,
            system=system,
            max_new_tokens=self.max_new_tokens,
            stop_pattern=self.parser.stop_pattern,
        )

    def choice_query(
        self,
        video: Video,
        segment: Segment,
        choices: Sequence[str],
        definition: Definition | None = None,
        /,
        **fields: str,
    ) -> ChooseQuery:
        """The same query, answered by the probability of each of `choices`.

        Raises:
            ConfigError: as for `query`.
        """
        text, system = self._messages(segment, definition, fields)
        return ChooseQuery(
            purpose=self.purpose,
            video=video,
            at=segment.at,
            frames=segment.frames,
            times=segment.times,
            text=text,
            system=system,
            choices=tuple(choices),
        )

    def parse(self, answer: str) -> Response:
        """The parsed answer; its thoughts are not parsed, and one that consists of thoughts only has no score."""
        split = split_thoughts(answer)
        response = self.parser(split.text) if split.finished else Response("", math.nan, "")
        return replace(response, thoughts=split.thoughts.strip()) if split.thoughts else response

    def _messages(self, segment: Segment, definition: Definition | None, fields: dict[str, str]) -> tuple[str, str]:
        """The user message and the system message."""
        template, system = self._template(definition)
        used = _placeholders(template) | _placeholders(system)
        if definition and self.takes_definition:
            fields = {**fields, **definition_fields(definition)}
            if "definition" not in used:
                raise ConfigError(
                    f"prompt.file={self.file} ({self.purpose}): it does not contain $definition, what watch_for looks "
                    "for. Add it, and $exceptions behind it."
                )
        unused = set(fields) - used
        if unused and definition is None:
            _warn_unused(self.purpose, ", ".join(f"${name}" for name in sorted(unused)))
        frames = "\n".join(f"Frame{k}: {IMAGE}" for k in range(1, len(segment.frames) + 1))
        return self._fill(template, {"frames": frames, **fields}), self._fill(system, fields)

    def _template(self, definition: Definition | None) -> tuple[str, str]:
        """The user message and the system message with placeholders."""
        if self.file is None:
            if definition and self.definition_text is not None:
                return self.definition_text, ""
            return self.text, self.system
        try:
            return local_path(self.file).read_text(encoding="utf-8"), self.system
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"prompt.file={self.file} ({self.purpose}): cannot be read: {error}") from error

    def _fill(self, text: str, fields: dict[str, str]) -> str:
        template = Template(text)
        if not template.is_valid():
            raise ConfigError(f"The {self.purpose} prompt has a single '$': write '$$' for a dollar sign.")
        unknown = sorted(set(template.get_identifiers()) - set(fields))
        if unknown:
            known = ", ".join(f"${name}" for name in sorted(fields)) or "none"
            raise ConfigError(f"The {self.purpose} prompt has the placeholder ${unknown[0]}; available here: {known}.")
        return template.substitute(fields)


@lru_cache(maxsize=64)
def _placeholders(text: str) -> frozenset[str]:
    return frozenset(Template(text).get_identifiers())


@cache
def _warn_unused(purpose: str, names: str) -> None:
    log.warning("The %s prompt does not contain %s: the model does not get it.", purpose, names)


def split_at_images(query: ChatQuery) -> list[str]:
    """Split a query's text at its `<image>` marks: frame k belongs between part k and part k + 1.

    The frames of a text without marks come before it.

    Raises:
        ConfigError: the number of marks differs from the number of frames.
    """
    parts = query.text.split(IMAGE)
    if len(parts) == 1:
        return [""] * len(query.frames) + parts
    if len(parts) - 1 != len(query.frames):
        raise ConfigError(
            f"The {query.purpose} prompt has {len(parts) - 1} <image> marks for {len(query.frames)} frames."
        )
    return parts
