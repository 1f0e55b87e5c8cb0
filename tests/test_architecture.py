"""Rules of this code base that a type checker cannot check. `make lint` checks format, types and imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WINDOW = 5
METHOD_FILES = sorted((ROOT / "cil_core" / "methods").glob("*.py"))


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_specs_import_where_pytorch_is_not_installed() -> None:
    """Each module of `cil_core.spec`, in an interpreter in which `import torch` fails."""
    paths = (ROOT / "cil_core" / "spec").rglob("*.py")
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths
    )
    assert "cil_core.spec.jobs" in modules
    loaded_by(
        f"import sys; sys.modules['torch'] = None; import {', '.join(modules)}; del sys.modules['torch']"
    )


def test_the_client_needs_neither_server_nor_pytorch() -> None:
    loaded = loaded_by("import api.client, api.client.cli")
    assert loaded.isdisjoint(
        {"torch", "numpy", "fastapi", "sqlalchemy", "celery", "redis", "store", "workers"}
    )


def test_the_api_imports_neither_pytorch_nor_the_workers() -> None:
    assert loaded_by("import api.main").isdisjoint({"torch", "workers"})


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pinned = {
        normal(name)
        for name, is_pinned, _ in (
            line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
        )
        if is_pinned
    }
    assert {normal(re.match(r"[\w.-]+", line)[0]) for line in lines} - {"cil-leaderboard"} <= pinned


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def code_lines(path: Path) -> list[str]:
    """Lines that do something.

    Skipped: imports, docstrings, comments, blank lines, decorators, signatures, class annotations.
    """
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            skipped.update(range(node.lineno, node.body[0].lineno))
    lines = enumerate(path.read_text().splitlines(), start=1)
    return [
        text
        for number, line in lines
        if number not in skipped and (text := line.strip()) and not text.startswith("#")
    ]


def windows(path: Path) -> set[tuple[str, ...]]:
    lines = code_lines(path)
    return {tuple(lines[start : start + WINDOW]) for start in range(len(lines) - WINDOW + 1)}


@pytest.mark.parametrize(("first", "second"), list(combinations(METHOD_FILES, 2)), ids=lambda path: path.stem)
def test_no_two_methods_share_five_lines(first: Path, second: Path) -> None:
    assert windows(first) & windows(second) == set()


@pytest.mark.parametrize("path", METHOD_FILES, ids=lambda path: path.stem)
def test_a_method_can_be_read_beside_its_paper(path: Path) -> None:
    assert len(code_lines(path)) <= 80


def test_every_recipe_has_its_method_and_every_method_its_recipe() -> None:
    from cil_core.spec.recipes import BY_NAME

    modules = {path.stem for path in METHOD_FILES} - {"__init__"}
    assert {name.replace("-", "_") for name in BY_NAME} == {module.rstrip("_") for module in modules}
