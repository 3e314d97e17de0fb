"""The authors' prompts as prompt files of vaa, from what they released: text files, and programs that contain texts.

A program is parsed for its texts and never run. None of the texts is part of this package: they are read from the
folder into which `python -m vaa.data.fetch` has downloaded a release.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from vaa.errors import DataError

Prompts = Mapping[str, str]
"""Name -> a text with the placeholders of vaa."""


def corevad_prompts(root: Path) -> Prompts:
    """CoReVAD: the user message of its VLM."""
    return {"verdict": _with_frames(_read(root, "P_VLM_format.txt"))}


def vera_prompts(root: Path) -> Prompts:
    """VERA: the user message of its VLM with the guiding questions of each data set, which its README lists."""
    text, readme = _read(root, "VERA_learner_instruct.txt"), _read(root, "README.md")
    lists = re.findall(r"^```\n((?:\d\. [^\n]+\n){5})```", readme, re.MULTILINE)
    place = text.find("Based on the analysis above")
    if len(lists) < 2 or place < 0:
        raise DataError("README.md does not list five questions for each of two data sets in VERA's form.")
    return {
        name: _with_frames(text[:place] + questions + text[place:])
        for name, questions in zip(("verdict_ucf", "verdict_xd"), lists, strict=False)
    }


def lavad_prompts(root: Path) -> Prompts:
    """LAVAD: the system messages of its LLM; the ratings' differ by data set."""
    prompts = {}
    for name, folder in (("ucf", "ucf_crime"), ("xd", "xd_violence")):
        texts = _shell_texts(root, f"slurm/{folder}/04_query_llm.sh")
        prompts[f"summarise_system_{name}"] = _literal(texts["summary_prompt"])
        prompts[f"rate_system_{name}"] = _literal(f"{texts['context_prompt']} {texts['format_prompt']}")
    return prompts


def urf_prompts(root: Path) -> Prompts:
    """URF: what its programs say to the LLM (system messages) and to the VLMs; its captions' prompt is not released."""
    first = _shell_texts(root, "scripts/query_llm_vad.sh")
    prompts = {"rate_system": _literal(f"{first['context_prompt']} {first['format_prompt']}")}
    second = _shell_texts(root, "scripts/refine_score.sh")
    tags = _formatted(root, "src/refine_with_tag.py", "truncated_susp", "$tags")
    for file in sorted(root.glob("data/*/refined_scores/*/context_prompt.txt")):
        context = _literal(file.read_text(encoding="utf-8"))
        name = f"rerate_system_{file.parts[-4].lower()}"
        prompts[name] = f"{context}{tags}\n\n{_literal(second['format_prompt'])}"
    prompts["tags_system"], prompts["tags"] = (_literal(text) for text in _messages(root, "src/summarize_window.py"))
    constant, formatted = _assigned(root, "src/val_priors.py", "prompt_text", {"anomaly_label": "$tags"})
    prompts["box_any"], prompts["box"] = constant, formatted
    system, user = _messages(root, "src/vau_priors.py")
    prompts["understand_system"] = _literal(system).replace("{suspicious_phrases}", "$tags")
    prompts["understand"] = _literal(user)
    return prompts


def probe_prompts(root: Path) -> Prompts:
    """Probe-VAD: the system message with the scale, and the question about a threshold."""
    system, *_ = _assigned(root, "probe_vad/scoring.py", "CUMULATIVE_PROMPT", {})
    question, *_ = _assigned(root, "probe_vad/utils.py", "question", {"threshold": "$threshold"})
    return {"threshold_system": system, "threshold": question}


def write_prompts(root: Path, make: Callable[[Path], Prompts]) -> Sequence[Path]:
    """Write the prompts of a release into its folder `prompts`, `NAME.txt` each.

    Raises:
        DataError: the release has not the form in which its prompts are known.
    """
    try:
        prompts = make(root)
    except (OSError, SyntaxError, ValueError, KeyError) as error:
        raise DataError(f"{root}: its prompts cannot be read: {type(error).__name__}: {error}") from error
    folder = root / "prompts"
    folder.mkdir(exist_ok=True)
    for name, text in prompts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return [folder / f"{name}.txt" for name in prompts]


def _read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def _literal(text: str) -> str:
    """A text in which a dollar sign is a dollar sign."""
    return text.replace("$", "$$")


def _with_frames(text: str) -> str:
    """A text of VERA or CoReVAD, whose programs put a line for each frame in the place of `$Data`."""
    return _literal(text).replace("$$Data", "$frames\n")


def _shell_texts(root: Path, name: str) -> dict[str, str]:
    """The variables of a shell program that are set to a text in double quotes on a line of their own."""
    return dict(re.findall(r'^(\w+)="(.*)"[ \t]*$', _read(root, name), re.MULTILINE))


def _nodes(root: Path, name: str) -> Iterator[ast.AST]:
    """The nodes of a Python program in the order of its lines."""
    nodes = [node for node in ast.walk(ast.parse(_read(root, name))) if isinstance(node, ast.expr | ast.Assign)]
    return iter(sorted(nodes, key=lambda node: (node.lineno, node.col_offset)))


def _messages(root: Path, name: str) -> tuple[str, str]:
    """The first system message and the first text for the user in the chats that a Python program contains."""
    found: dict[str, str] = {}
    for node in _nodes(root, name):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            fields = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
            kind = next((getattr(fields[key], "value", "") for key in ("role", "type") if key in fields), "")
            value = fields.get({"system": "content", "text": "text"}.get(kind, ""))
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):  # "...".format(...)
                value = value.func.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.setdefault(kind, value.value)
    return found["system"], found["text"]


def _assigned(root: Path, name: str, variable: str, fields: Mapping[str, str]) -> list[str]:
    """The texts that a Python program assigns to a variable, with `fields` in the place of formatted names."""
    return [
        _template(node.value, fields)
        for node in _nodes(root, name)
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == variable for target in node.targets)
    ]


def _formatted(root: Path, name: str, variable: str, placeholder: str) -> str:
    """The first f-string of a Python program that contains the variable, with a placeholder in its place."""
    for node in _nodes(root, name):
        if isinstance(node, ast.JoinedStr) and any(
            isinstance(child, ast.Name) and child.id == variable for child in ast.walk(node)
        ):
            return _template(node, {variable: placeholder})
    raise DataError(f"{name}: no text with {variable} in it.")


def _template(node: ast.expr, fields: Mapping[str, str]) -> str:
    """A constant text or an f-string as a template."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = ""
    for part in parts:
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
            text += fields[part.value.id]
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            text += _literal(part.value)
        else:
            raise DataError(f"line {part.lineno}: not a text.")
    return text
