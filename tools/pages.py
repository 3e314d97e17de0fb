"""Write the pages of the documentation that are made and not written: `python tools/pages.py` (see `make docs`)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from configuration import configuration

ROOT = Path(__file__).parents[1]


def modules(package: Path) -> dict[str, list[str]]:
    """Page -> the modules it shows: a page a package, and one for the files at the top."""
    pages: dict[str, list[str]] = {"vaa": []}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        pages.setdefault(parts[1] if len(parts) > 2 else "vaa", []).append(name)
    return pages


def api(page: str, names: list[str]) -> str:
    """A page of the API reference: a directive a module, filled in by mkdocstrings."""
    return "\n".join([f"# {title(page)}", "", *(f"::: {name}\n" for name in names)])


def title(page: str) -> str:
    """The package that a page shows."""
    return "vaa" if page == "vaa" else f"vaa.{page}"


def pages(root: Path) -> dict[str, str]:
    """Path under docs/ -> content of every page that is made and not written."""
    parts = modules(root / "vaa")
    listed = (f"- [{title(page)}]({page}.md): {', '.join(f'`{n}`' for n in names)}" for page, names in parts.items())
    return {
        "reference/configuration.md": configuration(root / "conf"),
        "reference/api/index.md": "\n".join(["# API reference", "", "Made from the docstrings.", "", *listed, ""]),
        **{f"reference/api/{page}.md": api(page, names) for page, names in parts.items()},
        "changelog.md": (root / "CHANGELOG.md").read_text(encoding="utf-8"),
    }


def main() -> int:
    """Write them all, over those of last time."""
    docs = ROOT / "docs"
    shutil.rmtree(docs / "reference", ignore_errors=True)
    for name, content in pages(ROOT).items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
