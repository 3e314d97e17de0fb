"""The config groups of conf/ with their choices and one-line descriptions: what `--help` prints."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vaa.errors import ConfigError
from vaa.installation import CONF, command_name, own_conf

GROUPS = {
    "method": "what is done with a video, a list of stages",
    "data": "the videos and their labels",
    "vlm": "the vision-language model",
    "boxer": "the vision-language model that gives URF's boxes",
    "llm": "the language model, for methods that rate or summarise text",
    "encoder": "the model that embeds frames and texts",
    "window": "how a video is cut into segments, and the frames of each that a model sees",
    "prompt": "the questions, and how their answers are parsed",
    "readout": "the score of a segment: as written, or from the probabilities of the answers",
    "refinement": "scores refined by those of similar segments",
    "smoothing": "smoothing of a video's scores in time",
    "scores": "scores from files, for method=scored and URF's later tasks",
    "suspicious_window": "URF's suspicious window: how it is found, tagged and its tags filtered",
    "memory": "texts of normal and abnormal scenes, for retrieval",
    "position": "weighting by the position in the video",
    "protocol": "how scores are evaluated: labels, intervals, average precision",
    "engine": "where models run",
    "experiment": "complete settings: published results, combinations, demos",
    "run": "chosen by `data`",
}
"""Config group -> what it chooses, in the order of the help page."""

_USAGE = """\
vaa analyses videos with frozen vision-language models: where something is wrong, where in the picture, what and why.

usage: python run.py [GROUP=CHOICE ...] [KEY=VALUE ...]

  python run.py                                                     built-in models on built-in videos
  python run.py data=folder data.root=CLIPS vlm=internvl encoder=clip_vit_b16    your own videos
  python run.py method=corevad data=ucf_crime data.root=DIR vlm=internvl2        a published method on a benchmark
  python run.py '~stages.refine' smoothing=none window.length=16                 an ablation: drop a stage, set a field
  python run.py -m smoothing=none,gaussian9 position.width=0.25,0.5              a sweep of four jobs
  python run.py ... doctor=true     check that models, libraries and memory suffice; runs nothing
  python run.py ... --cfg job       print the composed config; runs nothing
  python run.py --help GROUP        describe each choice of a group

Groups and their choices (a method uses only the groups that its file in conf/method lists):

"""
_RESULTS = """
Results: outputs/METHOD/TIME/ (report.html, metrics.json, scores/, alerts.csv). Exit status: 0 success, 1 other error,
2 config, 3 too many videos failed, 4 too many answers unparsed, 5 data, 6 model, 7 cache, 8 output, 130 interrupted.
"""


def help_requested(args: Sequence[str]) -> bool:
    """Whether the command line asks for the help page."""
    return any(arg in ("--help", "-h") for arg in args)


def help_text(args: Sequence[str]) -> str:
    """The help page; if the arguments name groups, only the choices of these with their descriptions."""
    named = [arg for arg in args if arg in GROUPS]
    if named:
        return "\n".join(describe(group) for group in named)
    width = min(shutil.get_terminal_size((120, 50)).columns, 120)
    lines = []
    for group in GROUPS:
        if group == "run":
            continue
        text = f"{GROUPS[group]}: {'  '.join(choices(group))}"
        name, indent = f"  {group:<17} ", " " * 20
        lines += textwrap.wrap(text, width, initial_indent=name, subsequent_indent=indent, break_long_words=False)
    own = own_conf()
    if own is not None:
        lines.append(f"\nThe choices of {own} are among them.")
    return _USAGE.replace("python run.py", command_name()) + "\n".join(lines) + "\n" + _RESULTS


def choices(group: str) -> dict[str, str]:
    """Choice -> its one-line description, which is the first comment line of its file."""
    return {file.stem: _description(file) for file in _files(group)}


def _files(group: str) -> list[Path]:
    """The files of a group, the user's own after vaa's."""
    folders = [folder for folder in (CONF, own_conf()) if folder is not None]
    return [file for folder in folders for file in sorted((folder / group).glob("*.yaml"))]


def check_own_conf() -> None:
    """Check that no file of the user's own `conf/` has the name of one of vaa's: Hydra would not read it.

    Raises:
        ConfigError: names these files.
    """
    own = own_conf()
    files = [] if own is None else sorted(file.relative_to(own) for file in own.rglob("*.yaml"))
    hidden = [
        f"conf/{file.as_posix()}"
        for file in files
        if own and (CONF / file).is_file() and (CONF / file).read_bytes() != (own / file).read_bytes()
    ]
    if hidden:
        raise ConfigError(
            f"{own} adds choices to those of vaa, but vaa has files of these names already: {', '.join(hidden)}. "
            "Rename them, or start in a folder without them."
        )


def describe(group: str) -> str:
    """A group and each of its choices with its description."""
    described = choices(group)
    width = max(map(len, described))
    rows = [f"  {name:<{width}}  {text}" for name, text in described.items()]
    return "\n".join([f"{group}: {GROUPS[group]}", *rows, ""])


def _description(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = (line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    return next((text for text in comments if not text.startswith("@package")), "")


def most_similar(word: str, words: Iterable[str]) -> str:
    """The word that another one is probably a misspelling of; empty if none is similar."""
    from difflib import get_close_matches

    known = {name.lower(): name for name in words}
    return next((known[match] for match in get_close_matches(word.lower(), known, n=1, cutoff=0.5)), "")


def did_you_mean(word: str, words: Iterable[str], parent: str = "") -> str:
    """A sentence with the most similar of the words, or with all where none is similar; `parent` is the key above."""
    words = list(words)
    if similar := most_similar(word, words):
        return f" Did you mean {parent}.{similar}?" if parent else f" Did you mean {similar}?"
    return f" Choose one of {', '.join(words)}." if words else ""


def mandatory_comment(key: str, chosen: Mapping[str, str | None]) -> str:
    """The comment at a field that has to be given (`???`) in the file of the group's choice; empty if there is none."""
    group, _, field = key.rpartition(".")
    line = re.compile(rf"^ *{re.escape(field)}: \?\?\? *# *(.+)$", re.MULTILINE)
    folder = group if group in GROUPS else "method"
    names = re.findall(r"\w+", str(chosen.get(folder)))  # one, or several, as in protocol=[lavad,macro]
    order = {name: k for k, name in enumerate(names)}
    files = sorted(_files(folder), key=lambda file: (order.get(file.stem, len(order)), file))
    return next((match[1] for file in files if (match := line.search(file.read_text(encoding="utf-8")))), "")
