"""vaa: training-free video anomaly analysis with frozen vision-language models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaa.analysis import analyse, analyse_folder
    from vaa.loading import LoadedRun, LoadedRuns, load_run, load_runs

__all__ = ["LoadedRun", "LoadedRuns", "analyse", "analyse_folder", "load_run", "load_runs"]
_MODULES = {name: "vaa.analysis" if name.startswith("analyse") else "vaa.loading" for name in __all__}


def __getattr__(name: str) -> Any:
    """Import what the package offers when it is first used: `import vaa` loads no library."""
    if name not in _MODULES:
        raise AttributeError(f"module 'vaa' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
