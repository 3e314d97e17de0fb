"""Where nltk finds WordNet: its own data, or a copy of Debian's made once in the user's cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

DEBIAN = Path("/usr/share/wordnet")
INSTALL = "python -m nltk.downloader wordnet (or, on Debian and Ubuntu, apt-get install wordnet-base)"
_PARTS = ("adj", "adv", "noun", "verb")
_FILES = (
    "cntlist.rev",
    *(f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS),
    *(f"{p}.exc" for p in _PARTS),
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


def wordnet() -> Any:
    """Nltk's reader of WordNet, loaded.

    Raises:
        LookupError: there is neither nltk's data nor Debian's.
    """
    data = import_module("nltk.data")
    for place in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            data.find(place)
            break
        except LookupError:
            continue
    else:
        data.path.append(str(_copied(DEBIAN, _cache() / "nltk_data")))
    decoder = import_module("nltk.corpus").wordnet
    decoder.ensure_loaded()
    return decoder


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaa"


def _copied(source: Path, data: Path) -> Path:
    """The folder of nltk data with WordNet's files in it; whole or not there at all, whoever else makes it too."""
    target = data / "corpora" / "wordnet"
    if target.is_dir():
        return data
    if not all((source / name).is_file() for name in _FILES):
        raise LookupError(f"no WordNet in nltk's data, nor in {source}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as made:
            whole = Path(made) / "wordnet"
            whole.mkdir()
            for name in _FILES:
                shutil.copyfile(source / name, whole / name)
            (whole / "lexnames").write_text(_lexnames(), encoding="ascii")
            (whole / "index.sense").touch()
            whole.rename(target)
    except OSError as error:
        if not target.is_dir():  # else another process was first
            raise LookupError(f"{target} cannot be made: {error}") from error
    return data


def _lexnames() -> str:
    """The table of lexicographer files that Debian leaves out (lexnames(5WN))."""
    names = [f"{part}.{topic}" for part, topics in _TOPICS.items() for topic in topics.split()] + ["adj.ppl"]
    return "".join(f"{k:02d}\t{name}\t{_SYNTAX[name.split('.')[0]]}\n" for k, name in enumerate(names))
