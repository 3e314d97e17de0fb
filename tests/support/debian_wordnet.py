"""WordNet for nltk offline: the files of Debian's wordnet-base, with the two that nltk needs and Debian leaves out."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

SOURCE = Path("/usr/share/wordnet")
_PARTS = ("adj", "adv", "noun", "verb")
_FILES = (
    "cntlist.rev",
    *(f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS),
    *(f"{part}.exc" for part in _PARTS),
)
_TOPICS = {
    "adj": "all pert",
    "adv": "all",
    "noun": "Tops act animal artifact attribute body cognition communication event feeling food group location motive "
    "object person phenomenon plant possession process quantity relation shape state substance time",
    "verb": "body change cognition communication competition consumption contact creation emotion motion perception "
    "possession social stative weather",
}
_SYNTAX = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}


def available() -> bool:
    """Whether Debian's files are installed."""
    return (SOURCE / "data.noun").is_file()


def convert(nltk_data: Path) -> None:
    """Write `corpora/wordnet` into a folder of nltk's data; copies, since nltk follows no links out of its data."""
    target = nltk_data / "corpora" / "wordnet"
    target.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(SOURCE / name, target / name)
    (target / "lexnames").write_text(lexnames(), encoding="ascii")
    (target / "index.sense").touch()


def lexnames() -> str:
    """The table of lexicographer files (lexnames(5WN))."""
    names = [f"{part}.{topic}" for part, topics in _TOPICS.items() for topic in topics.split()] + ["adj.ppl"]
    return "".join(f"{k:02d}\t{name}\t{_SYNTAX[name.split('.')[0]]}\n" for k, name in enumerate(names))


if __name__ == "__main__":  # python tests/support/debian_wordnet.py ~/nltk_data
    convert(Path(sys.argv[1]))
