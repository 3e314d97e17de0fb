"""Imports of vaa point one way, and the heavy libraries stay where they belong (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
FILES = {file.relative_to(HOUSE).as_posix(): file for file in sorted((HOUSE / "vaa").rglob("*.py"))}

# Each part may import these, its own files, and of a name that ends in "!" the package alone, none of its files.
MAY = {
    "types": "",
    **dict.fromkeys(("parse", "prompt", "cache", "metrics", "overrides", "synthetic", "boxes", "spool"), "types"),
    "interrupt": "",
    "patience": "types",
    "readers": "types seeking",
    "video": "types spool patience readers",
    "drawing": "types video",
    "models": "types interrupt parse prompt memo video metrics overrides boxes",
    "data": "types parse prompt memo video metrics overrides boxes",
    "data/synthetic.py": "types synthetic",
    "stages": "types prompt parse drawing models!",
    "engines": "types interrupt models!",
    "pipeline": "types interrupt memo stages! engines!",
    "protocol": "types data metrics",
    "experiment": "types memo pipeline online report",
    "online": "types spool interrupt stages engines! pipeline",
    "report": "types patience metrics stages! pipeline protocol",
    "compare": "types metrics report",
    "tune": "types metrics stages! protocol report compare",
    "paper": "types report compare",
    "report/doctor.py": "types models stages!",
    "report/wandb_pictures.py": "types metrics video",
    "report/needs.py": "types models stages!",
    "tiny": "types parse prompt memo video metrics overrides synthetic models data stages engines pipeline protocol",
}
LONG = {"vaa/types.py": 250}  # all the nouns in one place
HOMES = {
    "torch": ("models", "tiny"),
    "transformers": ("models", "tiny"),
    "wandb": ("report",),
    "hydra": (),
    "omegaconf": (),
}


def imports(node: ast.AST, within: bool = False) -> Iterator[tuple[str, bool]]:
    """Every imported module, and whether a function imports it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((name.name, within) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            for name in child.names:
                whole = f"{child.module}.{name.name}"
                path = HOUSE / whole.replace(".", "/")
                yield (whole if path.is_dir() or path.with_suffix(".py").is_file() else str(child.module)), within
        else:
            yield from imports(child, within or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("name", FILES)
def test_imports_point_one_way(name: str) -> None:
    part = Path(name).with_suffix("").parts[1]
    allowed = MAY.get(name.removeprefix("vaa/"), MAY.get(part, "")).split()
    for module, _ in imports(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        house, _, rest = module.partition(".")
        other = rest.split(".")[0]
        if house == "vaa" and other != part:
            assert other in allowed or (f"{other}!" in allowed and rest == other), f"{name} imports {module}"


@pytest.mark.parametrize("name", FILES)
def test_heavy_libraries_stay_in_their_home_and_models_load_them_on_use(name: str) -> None:
    part = Path(name).with_suffix("").parts[1]
    for module, within in imports(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        library = module.split(".")[0]
        assert part in HOMES.get(library, (part,)), f"{name} imports {module}"
        assert within or part != "models" or library not in HOMES, f"{name} imports {module} before it is used"


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_one_idea(name: str) -> None:
    assert Path(name).stem not in {"utils", "util", "common", "helpers", "misc"}
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= LONG.get(name, 200)


def test_the_rules_name_parts_that_exist() -> None:
    for part in MAY:
        assert list((HOUSE / "vaa").glob(f"{part}*")), part
