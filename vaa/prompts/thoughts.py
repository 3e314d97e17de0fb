"""Thoughts: text that a reasoning model writes before its answer. It is separated before anything is parsed.

The marks are those of the reasoning parsers of vLLM and SGLang, for servers without one and for local models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# <think>, <thinking>, <seed:think>, <mm:think>, <longcat_think>, <think:opensource>, ...
_TAG = r"(?:[a-z]+[:_])?(?:think|thinking|thoughts?|reasoning|analysis|reflection)(?::\w+)?"
_OPENING = rf"""(?ix:
    <\s*{_TAG}(?:\s[^<>]*)?>
    | \[THINK\]                                                     # Mistral
    | ◁think▷                                                       # Kimi
    | <\|(?:START_THINKING|begin_of_thought|inner_prefix|think)\|>  # Cohere, OpenThinker, Apertus
    | <\|channel>                                                   # Gemma 4
    | <\|channel\|>\s*(?:analysis|commentary)                       # gpt-oss
    | \[unused16\]                                                  # Pangu
    | \A\s*Here(?:'s|\ is)\ my\ thought\ process:                   # Granite
    | \A\s*(?-i:analysis(?=[A-Z]))                                  # gpt-oss, its special tokens dropped
)"""
_CLOSING = rf"""(?ix:
    <\s*/\s*{_TAG}\s*>
    | \[/THINK\]
    | ◁/think▷
    | <\|(?:END_THINKING|end_of_thought|inner_suffix|/think)\|>
    | <channel\|>
    | <\|channel\|>\s*final[^\n]{{0,60}}?<\|message\|>
    | \[unused17\]
    | \A\s*Here(?:'s|\ is)\ my\ thought\ process:(?s:.*?)Here(?:'s|\ is)\ my\ response:
    | (?-i:assistantfinal)
)"""
_WRAPPERS = r"<{0}(?:answer|response)>|<\|(?:{1}_RESPONSE|{2}_of_(?:solution|box))\|>"
_WRAPPERS_BEFORE = rf"(?i:\s*(?:{_WRAPPERS.format('', 'START', 'begin')}))*"
_WRAPPERS_AFTER = rf"(?i:(?:{_WRAPPERS.format('/', 'END', 'end')})\s*)+\Z"
_HARMONY = ("<|channel|>", "<|message|>")  # tokens of which the marks of gpt-oss consist

_opening, _opened = re.compile(_OPENING), re.compile(rf"{_OPENING}\s*\Z")
_closing, _closed = re.compile(_CLOSING), re.compile(rf"{_CLOSING}{_WRAPPERS_BEFORE}")
_wrappers_after = re.compile(_WRAPPERS_AFTER)
_START = re.compile(r"\s*(?:Here|analysis)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SplitAnswer:
    """A model's answer: its thoughts with their marks, "" without any, and the text after them.

    `finished` is False if the thoughts do not end: `text` is empty then.
    """

    thoughts: str
    text: str
    finished: bool = True


def split_thoughts(answer: str) -> SplitAnswer:
    """Separate thoughts from the answer: all text up to the last closing mark, which may lack its opening one.

    Marks around the answer that follows (`<answer>`) are removed.
    """
    if not _may_have_marks(answer):
        return SplitAnswer("", answer)
    end = 0
    for mark in _closed.finditer(answer):
        end = mark.end()
    if _opening.search(answer, end):
        return SplitAnswer(answer, "", finished=False)
    return SplitAnswer(answer[:end], _wrappers_after.sub("", answer[end:])) if end else SplitAnswer("", answer)


def _may_have_marks(answer: str) -> bool:
    """Whether a mark is possible; false for most answers, at a tenth of the patterns' time."""
    return (
        "<" in answer
        or "[" in answer
        or "◁" in answer
        or "assistantfinal" in answer
        or _START.match(answer) is not None
    )


def opened_thoughts(prompt: str) -> str:
    """The opening mark at the end of a prompt, after which a model writes its thoughts; "" without one."""
    mark = _opened.search("." + prompt[-60:])  # not the marks that stand at the beginning of an answer only
    return mark[0] if mark else ""


def is_mark(token: str) -> bool:
    """Whether a special token delimits thoughts, so that it has to stay in the decoded text."""
    return token in _HARMONY or bool(_opening.fullmatch(token) or _closing.fullmatch(token))
