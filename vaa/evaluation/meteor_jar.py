"""METEOR 1.5 by its authors' Java program, which pycocoevalcap brings along."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from vaa.errors import VaaError

_FINAL = re.compile(r"^(?:Final score:\s*)?([\d.]+(?:E-?\d+)?)\s*$", re.MULTILINE)


def meteor_jar(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """METEOR of (reference, description) pairs as one corpus, English, normalised.

    Raises:
        VaaError: there is no Java, no pycocoevalcap, or the program failed.
    """
    java, package = shutil.which("java"), find_spec("pycocoevalcap")  # a package without __init__
    if java is None:
        raise VaaError("there is no java: install a Java runtime (apt-get install default-jre-headless)")
    if package is None or not package.submodule_search_locations:
        raise VaaError("pycocoevalcap is not installed: pip install 'vaa[understanding]'")
    jar = Path(package.submodule_search_locations[0]) / "meteor" / "meteor-1.5.jar"
    with tempfile.TemporaryDirectory() as folder:
        references, said = Path(folder) / "references", Path(folder) / "said"
        for file, texts in ((references, [r for r, _ in pairs]), (said, [d for _, d in pairs])):
            file.write_text("".join(f"{' '.join(text.split())}\n" for text in texts), encoding="utf-8")
        command = [java, "-Xmx2G", "-jar", str(jar), str(said), str(references), "-l", "en", "-norm", "-q"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    final = _FINAL.findall(run.stdout)
    if run.returncode or not final:
        raise VaaError(f"METEOR's Java program failed: {(run.stderr or run.stdout).strip()[-200:]}")
    return {"meteor_jar": float(final[-1])}
