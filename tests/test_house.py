"""The house rules that a program can check: floors, sizes of folders, modules and functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
PACKAGE = REPO / "simsearch"
MODULES = sorted([*PACKAGE.rglob("*.py"), *(REPO / "benchmarks").rglob("*.py")])

FLOORS = {
    **dict.fromkeys(("errors", "records", "spec", "paths", "framing"), 0),
    **dict.fromkeys(("media", "models", "storage", "views"), 1),
    "engine": 2,
    **dict.fromkeys(("dedup", "quality", "training"), 3),
    **dict.fromkeys(("report", "http"), 4),
    **dict.fromkeys(("cli", "ui", "server"), 5),
}
FILES_A_FOLDER, LINES_A_MODULE, LINES_A_FUNCTION, PARAMETERS = 8, 300, 60, 6


def name_of(path: Path) -> str:
    return str(path.relative_to(REPO))


def rooms_imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The rooms of the house (simsearch.ROOM...) that a module imports, wherever in it, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides where it leads"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "simsearch" else [base]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "simsearch" and name != "simsearch.__version__":
                yield name.partition(".")[2].split(".")[0], node.lineno


def test_every_room_has_a_floor() -> None:
    rooms = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir()}
    assert rooms - {"__init__", "__main__", "__pycache__", "py"} <= FLOORS.keys()


@pytest.mark.parametrize("path", [p for p in MODULES if PACKAGE in p.parents], ids=name_of)
def test_imports_lead_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__"):
        return
    for other, line in rooms_imported(ast.parse(path.read_bytes())):
        assert other in FLOORS, f"{name_of(path)}:{line} imports the public face, which lies above it"
        same_room = other == room
        ground = FLOORS[room] == FLOORS[other] == 0
        assert same_room or ground or FLOORS[other] < FLOORS[room], (
            f"{name_of(path)}:{line}: {room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        )


def test_folders_are_small() -> None:
    folders = {
        path.parent for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    sizes = {
        name_of(folder): sum(1 for path in folder.iterdir() if path.is_file()) for folder in sorted(folders)
    }
    assert {name: size for name, size in sizes.items() if size > FILES_A_FOLDER} == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short_and_say_their_job(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= LINES_A_MODULE
    assert ast.get_docstring(ast.parse(source)), "the first line of a module tells its one job"
    assert path.stem not in ("utils", "helpers", "common")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short_with_few_parameters(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        where = f"{name_of(path)}:{node.lineno} {node.name}"
        assert (node.end_lineno or 0) - node.lineno + 1 <= LINES_A_FUNCTION, where
        if not is_command(node):
            assert count_parameters(node) <= PARAMETERS, where


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Click hands each option over as a parameter of its own."""
    return any(ast.unparse(decorator).startswith("click.command(") for decorator in node.decorator_list)


def count_parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    own = bool(parameters) and parameters[0].arg in ("self", "cls")
    return len(parameters) - own + (node.args.vararg is not None) + (node.args.kwarg is not None)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_validated_by_assert_or_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_bytes())):
        assert not isinstance(node, ast.Assert), f"{name_of(path)}:{node.lineno} asserts"
        if isinstance(node, ast.ExceptHandler):
            catches_all = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            does_nothing = all(isinstance(step, (ast.Pass, ast.Continue)) for step in node.body)
            assert not (catches_all and does_nothing), f"{name_of(path)}:{node.lineno} swallows errors"
