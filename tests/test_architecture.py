"""The house plan, held against the code: which room may import which.

An arrow that is not in the table fails here. Add it only if the plan changes: a room may use what
it is built on, never what is built on it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "anybpf"

# room: the rooms that it may import. "errors" and the package's own front are open to all.
ALLOWED: dict[str, set[str]] = {
    "isa": set(),
    "btf": set(),
    "platforms": set(),
    "toolchain": set(),
    "objects": {"isa", "btf", "platforms"},
    "verifier": {"isa", "btf", "platforms", "objects"},
    "engines": {"isa", "btf", "platforms", "objects", "verifier"},
    "maps": {"btf", "platforms", "objects"},
    "runtime": {"isa", "btf", "platforms", "objects", "verifier", "engines", "maps"},
    "testing": {
        "isa",
        "btf",
        "platforms",
        "toolchain",
        "objects",
        "verifier",
        "engines",
        "maps",
        "runtime",
    },
    "backends": {
        "isa",
        "btf",
        "platforms",
        "objects",
        "verifier",
        "engines",
        "maps",
        "runtime",
        "service",
    },
    "service": {
        "isa",
        "btf",
        "platforms",
        "objects",
        "verifier",
        "engines",
        "maps",
        "runtime",
    },
    "cli": {
        "isa",
        "btf",
        "platforms",
        "toolchain",
        "objects",
        "verifier",
        "engines",
        "maps",
        "runtime",
        "backends",
        "service",
    },
}
OPEN_TO_ALL = {"errors", "_core", "__version__"}

# What nobody may import as a module is loaded; functions that need it import it themselves.
HEAVY = {"llvmlite", "ziglang", "numpy", "click", "typer", "rich", "cryptography"}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def source_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[tuple[int, str, bool]]:
    """Line, dotted module and whether it is imported as the module is loaded."""
    tree = ast.parse(path.read_text())
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside.update(id(child) for child in ast.walk(node))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, id(node) not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            module = node.module or ""
            names = [f"{module}.{a.name}" for a in node.names] if module == "anybpf" else [module]
            found += [(node.lineno, name, id(node) not in inside) for name in names]
    return found


def test_what_is_imported_is_there() -> None:
    """As a module is loaded: the standard library, ourselves, and what the package depends on."""
    known = {*sys.stdlib_module_names, "anybpf", "mypy_extensions"}
    for path in source_files():
        tree = ast.parse(path.read_text())
        for_types = {
            id(child)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for child in ast.walk(node)
        }
        lines = {n.lineno for n in ast.walk(tree) if id(n) in for_types and hasattr(n, "lineno")}
        for line, name, as_loaded in imports(path):
            top = name.partition(".")[0]
            if as_loaded and line not in lines and (top, path.name) != ("pytest", "plugin.py"):
                assert top in known, f"{path}:{line}: {name} may be missing"


def test_every_room_is_in_the_table() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_plan(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):  # the front door may name any room
        return
    wrong = []
    for line, module, _ in imports(path):
        parts = module.split(".")
        if parts[0] != "anybpf" or len(parts) == 1:
            continue
        target = parts[1]
        if target != room and target not in OPEN_TO_ALL | ALLOWED.get(room, set()):
            wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} imports {module}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_only_when_used(path: Path) -> None:
    at_load = {module.split(".")[0] for _, module, load in imports(path) if load}
    assert not at_load & HEAVY


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after ``statement`` and had not before."""
    code = (
        "import sys; before = set(sys.modules); "
        f"{statement}; print('\\n'.join(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_front_door_loads_nothing_else() -> None:
    """Names are fetched when used: no room, no command line library, no compiler."""
    own = {name for name in loaded_by("import anybpf") if name.startswith("anybpf")}
    assert own <= {"anybpf", "anybpf._pure"}
    assert not {"argparse", "llvmlite", "typing", "re"} & loaded_by("import anybpf")


def import_microseconds(module: str) -> int:
    """The least time of five that a fresh interpreter takes to import ``module``, by its count."""
    least = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", f"import {module}"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        rows = [line.split("|") for line in done.stderr.splitlines() if line.count("|") == 2]
        least += [int(row[1]) for row in rows if row[2].strip() == module]
    return min(least)


def test_importing_is_cheap() -> None:
    """Under three times argparse. It is a small fraction, so a noisy machine cannot fail it."""
    assert import_microseconds("anybpf") < 3 * import_microseconds("argparse")


def test_the_tests_run_what_they_say_they_run() -> None:
    """ANYBPF_PURE=1 means source; ANYBPF_PURE=0, as `make compiled` sets it, means compiled."""
    from anybpf.isa import codec

    wanted = os.environ.get("ANYBPF_PURE")
    if wanted is None:
        pytest.skip("ANYBPF_PURE is not set: either way is fine")
    assert (codec.__file__ or "").endswith(".py") == (wanted == "1")


def test_no_compiled_class_does_without_the_collectors_header() -> None:
    """mypyc 2.4 frees what it calls acyclic through CPython's trashcan all the same, which from a
    depth of 50 on writes links in front of the object, where such an object has no room."""
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                for mark in node.decorator_list:
                    assert "acyclic" not in ast.unparse(mark), f"{path}: {node.name}"
