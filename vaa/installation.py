"""Where vaa is installed: its config files, how it is started, and the user's own `conf/` folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vaa.process import PROJECT_ROOT

DISTRIBUTION = "video-anomaly-analysis"
"""The name under which pip knows this package."""
CHECKOUT = (PROJECT_ROOT / "run.py").is_file() and (PROJECT_ROOT / "conf").is_dir()
"""Whether this is a clone of the repository; an installed package has `conf/` in itself and no run.py."""
CONF = PROJECT_ROOT / "conf" if CHECKOUT else Path(__file__).parent / "conf"
"""The config groups."""


def command_name() -> str:
    """How the user starts vaa, for messages: `vaa`, or `python run.py` in a clone."""
    return "vaa" if not CHECKOUT or Path(sys.argv[0]).stem == "vaa" else "python run.py"


def command() -> list[str]:
    """The program and first arguments that start this installation from any folder; overrides follow."""
    return ["python", str(PROJECT_ROOT / "run.py")] if CHECKOUT else ["vaa"]


def own_conf() -> Path | None:
    """The folder `conf` in the working directory, which adds choices to vaa's own; None where there is none."""
    folder = Path.cwd() / "conf"
    return folder if folder.is_dir() and not folder.samefile(CONF) else None


def search_path() -> list[str]:
    """Hydra's override that adds the user's own folder, if there is one."""
    folder = own_conf()
    return [] if folder is None else [f"hydra.searchpath=[{json.dumps(f'file://{folder}', ensure_ascii=False)}]"]


def add_working_directory() -> None:
    """Make files of the working directory importable, so that a `_target_` may be in one.

    It comes last, so that no file in it replaces a module of the same name.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
