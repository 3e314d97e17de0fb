"""Generate the reference pages of the documentation: `python tools/pages.py` (see `make docs`)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from configuration import configuration_page

from vaa.process import PROJECT_ROOT


def modules(package: Path) -> dict[str, list[str]]:
    """Page -> its modules: one page for each package, and one for the files beside them."""
    pages: dict[str, list[str]] = {"vaa": []}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        pages.setdefault(parts[1] if len(parts) > 2 else "vaa", []).append(name)
    return pages


def api_page(page: str, names: list[str]) -> str:
    """A page of the API reference: a directive for each module, which mkdocstrings fills in."""
    return "\n".join([f"# {title(page)}", "", *(f"::: {name}\n" for name in names)])


def title(page: str) -> str:
    """The package of a page."""
    return "vaa" if page == "vaa" else f"vaa.{page}"


def pages(root: Path) -> dict[str, str]:
    """Path under docs/ -> content, of all generated pages."""
    modules_of = modules(root / "vaa")
    listing = (
        f"- [{title(page)}]({page}.md): {', '.join(f'`{n}`' for n in names)}" for page, names in modules_of.items()
    )
    return {
        "reference/configuration.md": configuration_page(root / "conf"),
        "reference/api/index.md": "\n".join(
            ["# API reference", "", "Generated from the docstrings.", "", *listing, ""]
        ),
        **{f"reference/api/{page}.md": api_page(page, names) for page, names in modules_of.items()},
        "changelog.md": (root / "CHANGELOG.md").read_text(encoding="utf-8"),
    }


def main() -> int:
    """Write all pages in place of the earlier ones."""
    docs = PROJECT_ROOT / "docs"
    shutil.rmtree(docs / "reference", ignore_errors=True)
    for name, content in pages(PROJECT_ROOT).items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
