"""Prompts: the text of a query and the parser of its answer."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
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

    Attributes:
        purpose: Names the prompt in messages and selects recorded answers.
        system: The system message, "" for none.
        text: The user message.
        definition_text: Replaces `system` and `text` where a definition is given (`watch_for`). It contains
            `$definition` and `$exceptions`, and is null for a prompt that does not ask for anomalies.
        file: The path of a text file that replaces `text` and `definition_text`; null for none.
        system_file: The path of a text file that replaces `system`, or several, joined by a space; null for none.
        placeholders: For files that were not written for vaa: what to replace in them, as in {$Data: $frames}. All else
            in the files is text then, a dollar sign too. Null: the files have vaa's own placeholders.
        max_new_tokens: The longest answer.
        parser: The parser of the answer.
    """

    purpose: str
    system: str
    text: str
    definition_text: str | None
    file: str | None
    system_file: str | Sequence[str] | None
    placeholders: Mapping[str, str] | None
    max_new_tokens: int
    parser: Parser

    def __post_init__(self) -> None:
        require_at_least(1, max_new_tokens=self.max_new_tokens)
        if self.placeholders and self.file is None and self.system_file is None:
            raise ConfigError(f"prompt.placeholders={dict(self.placeholders)} ({self.purpose}): give prompt.file too.")
        if not all(self.placeholders or ["none"]):
            raise ConfigError(f"prompt.placeholders ({self.purpose}): an empty text cannot be replaced.")

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
        template, system = self._templates(definition)
        used = _parse(template).placeholders | _parse(system).placeholders
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

    def _templates(self, definition: Definition | None) -> tuple[str, str]:
        """The user message and the system message with placeholders."""
        text, system = self.text, self.system
        if self.file is None and definition and self.definition_text is not None:
            text, system = self.definition_text, ""
        contents = []
        if self.file is not None:
            text = self._read("file", self.file)
            contents.append(text)
        if self.system_file is not None:
            files = [self.system_file] if isinstance(self.system_file, str) else self.system_file
            system = " ".join(self._read("system_file", file) for file in files)
            contents.append(system)
        if self.placeholders is None:
            return text, system
        missing = [key for key in self.placeholders if not any(key in content for content in contents)]
        if missing:
            raise ConfigError(
                f"prompt.placeholders ({self.purpose}): {missing[0]!r} is not in {self.file or self.system_file}. "
                "Write it as it stands there."
            )
        if self.file is not None:
            text = _translate(text, self.placeholders)
        return text, system if self.system_file is None else _translate(system, self.placeholders)

    def _read(self, key: str, file: str) -> str:
        try:
            return local_path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"prompt.{key}={file} ({self.purpose}): cannot be read: {error}") from error

    def _fill(self, text: str, fields: dict[str, str]) -> str:
        template = _parse(text)
        if not template.is_valid:
            raise ConfigError(
                f"The {self.purpose} prompt has a single '$': write '$$' for a dollar sign. In a file that was not "
                "written for vaa, set prompt.placeholders."
            )
        unknown = sorted(template.placeholders - fields.keys())
        if unknown:
            known = ", ".join(f"${name}" for name in sorted(fields)) or "none"
            raise ConfigError(f"The {self.purpose} prompt has the placeholder ${unknown[0]}; available here: {known}.")
        return template.template.substitute(fields)


@dataclass(frozen=True, slots=True)
class _ParsedTemplate:
    template: Template
    placeholders: frozenset[str]
    is_valid: bool


@lru_cache(maxsize=64)
def _parse(text: str) -> _ParsedTemplate:
    """A prompt has one query per segment, and parsing its text takes longer than filling it in."""
    template = Template(text)
    return _ParsedTemplate(template, frozenset(template.get_identifiers()), template.is_valid())


def _translate(text: str, placeholders: Mapping[str, str]) -> str:
    """A text with other placeholders as a template: these are replaced, a longer one first, and all else is literal."""
    keys = sorted(placeholders, key=len, reverse=True)
    parts = re.split("(" + "|".join(map(re.escape, keys)) + ")", text) if keys else [text]
    return "".join(placeholders[part] if k % 2 else part.replace("$", "$$") for k, part in enumerate(parts))


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
