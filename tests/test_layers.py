"""Imports point one way and never in a circle, and heavy libraries are loaded on use (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {file.relative_to(ROOT).as_posix(): file for file in sorted((ROOT / "vaa").rglob("*.py"))}

LAYERS = (
    ("errors",),
    ("process",),
    ("installation",),
    ("generation", "frame_times"),
    ("types", "overrides", "choices"),
    ("config_check", "mistakes"),
    ("prompts", "video", "frame_vectors"),
    ("synthetic",),
    ("data",),
    ("models/base.py",),
    ("models/checkpoints",),
    ("models",),
    ("doctor/machine.py", "doctor/checkpoint.py"),
    ("stages", "engines", "cache"),
    ("doctor",),
    ("embedding",),
    ("pipeline",),
    ("evaluation",),
    ("report", "tracking", "streaming", "tiny"),
    ("experiment", "compare"),
    ("tune", "paper", "calibrate", "export", "parity", "job"),
    ("command", "analysis", "loading"),
    ("data/inspect.py",),
    ("__main__.py",),
)
"""From the ground up. A part imports parts of lower layers and its own files, never its neighbours or what is above."""

MAX_LINES = 400
HOMES = {
    "torch": ("models/transformers", "models/checkpoints", "video", "tiny", "doctor/machine.py"),
    "transformers": ("models/transformers", "models/vllm", "models/checkpoints", "tiny"),
    "wandb": ("tracking",),
    "hydra": ("overrides", "config_check", "mistakes", "tune", "job", "command", "analysis", "compare/multirun.py"),
    "omegaconf": ("mistakes", "tune", "job", "analysis"),
    "pandas": ("loading",),
    "openai": ("models/server",),
    "ray": ("engines",),
    "vllm": ("models/vllm",),
}
"""Library -> the only parts that import it."""
LOCAL = {"torch", "transformers", "wandb", "hydra", "omegaconf", "openai", "ray", "vllm", "matplotlib", "decord", "av"}
"""Slow to import, so imported inside functions: `--help` and the doctor stay quick. (`tiny`, `tune` and Hydra's
callback need theirs; pandas is imported by a module that nothing imports before it is used.)"""


def imports(node: ast.AST, inside_function: bool = False) -> Iterator[tuple[str, bool]]:
    """Every imported module with whether it is imported inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((name.name, inside_function) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            for name in child.names:
                module = f"{child.module}.{name.name}"
                path = ROOT / module.replace(".", "/")
                is_module = path.is_dir() or path.with_suffix(".py").is_file()
                yield (module if is_module else str(child.module)), inside_function
        else:
            yield from imports(child, inside_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def file_of(module: str) -> str:
    """`vaa.models.base` -> `vaa/models/base.py`, a package -> its `__init__.py`."""
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in FILES else f"{path}/__init__.py"


IMPORTS = {name: sorted(set(imports(ast.parse(file.read_text(encoding="utf-8"))))) for name, file in FILES.items()}
GRAPH = {name: [(file_of(m), inside) for m, inside in found if m.startswith("vaa.")] for name, found in IMPORTS.items()}


def layer(name: str) -> tuple[int, str]:
    """The layer of a file and the part it belongs to: the longest that fits."""
    inner = name.removeprefix("vaa/")
    fitting = [
        (len(part), number, part)
        for number, parts in enumerate(LAYERS)
        for part in parts
        if inner in (part, f"{part}.py") or inner.startswith(f"{part}/")
    ]
    assert fitting, f"{name} is in no layer"
    _, number, part = max(fitting)
    return number, part


def test_there_is_no_import_circle_not_even_inside_functions() -> None:
    try:
        list(TopologicalSorter({name: [m for m, _ in found] for name, found in GRAPH.items()}).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("name", [name for name in FILES if name != "vaa/__init__.py"])
def test_imports_point_to_lower_layers(name: str) -> None:
    number, part = layer(name)
    for module, _ in GRAPH[name]:
        other, other_part = layer(module)
        assert other < number or other_part == part, f"{name} imports {module}"


@pytest.mark.parametrize("name", FILES)
def test_vaa_is_imported_at_the_top_of_a_file(name: str) -> None:
    assert [module for module, inside in GRAPH[name] if inside] == []


@pytest.mark.parametrize("name", FILES)
def test_heavy_libraries_are_imported_in_their_home_on_use(name: str) -> None:
    inner = name.removeprefix("vaa/")
    for module, inside in IMPORTS[name]:
        library = module.split(".")[0]
        homes = HOMES.get(library)
        if homes is not None:
            assert any(inner in (h, f"{h}.py") or inner.startswith(f"{h}/") for h in homes), f"{name} imports {module}"
        if library in LOCAL and not inner.startswith(("tiny/", "tune/", "compare/multirun.py")):
            assert inside, f"{name} imports {module} before it is used"


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_one_idea(name: str) -> None:
    assert Path(name).stem not in {"utils", "util", "common", "helpers", "misc"}
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_a_class_name_means_one_thing() -> None:
    defined: dict[str, list[str]] = {}
    for name, file in FILES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                defined.setdefault(node.name.lstrip("_"), []).append(name)
    assert {name: files for name, files in defined.items() if len(files) > 1} == {}


def test_the_rules_name_parts_that_exist() -> None:
    for part in (part for parts in (*LAYERS, *HOMES.values()) for part in parts):
        path = ROOT / "vaa" / part
        assert path.is_dir() or path.with_suffix(".py").is_file(), part
