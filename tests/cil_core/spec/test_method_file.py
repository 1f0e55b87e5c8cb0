"""A submitted file becomes a recipe without being executed, or is refused with line and reason."""

from __future__ import annotations

import ast
import inspect
import subprocess
import time
from pathlib import Path

import pytest

from cil_core.spec import method_file
from cil_core.spec.errors import InvalidMethodFile
from cil_core.spec.method_description import described
from cil_core.spec.recipes import BY_NAME, RECIPES, base

FILE = '''"""A method."""

from typing import Literal

from pydantic import Field

from cil_core.learning.method import Method
from cil_core.spec.recipes.base import SMALL, Recipe
from cil_core.spec.schedule import Schedule

LATER = Schedule(epochs=10, milestones=(5,))


class OwnRecipe(Recipe):
    """Hyper-parameters."""

    title = "Own"
    family = "rehearsal"
    summary = "Does something."
    uses_memory = True

    name: Literal["own"] = "own"
    later_tasks: Schedule = Field(default=LATER, description="Later tasks.")
    weight: float = Field(default=0.5, ge=0, description="Of a loss.")
    kind: Literal["a", "b"] | None = None


class Own(Method):
    """A method."""

    open("/tmp/executed", "w")


RECIPE = OwnRecipe
METHOD = Own
'''


def changed(old: str, new: str) -> bytes:
    assert old in FILE
    return FILE.replace(old, new).encode()


def test_a_recipe_is_read_and_nothing_is_executed() -> None:
    read = method_file.read(FILE.encode())
    recipe = read.recipe.model_validate({"preset": "small", "weight": 2.0})
    assert recipe.model_dump()["weight"] == 2.0
    assert recipe.schedules["later_tasks"] == base.SMALL
    assert read.recipe.published().schedules["later_tasks"].epochs == 10
    assert (read.recipe.title, read.recipe.uses_memory, read.recipe.ranked) == ("Own", True, True)
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        read.recipe.model_validate({"weight": -1.0})


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FILE)
    printed = subprocess.run(["sha256sum", tmp_path / "own.py"], capture_output=True, text=True, check=True)
    assert method_file.read(FILE.encode()).digest == printed.stdout.split()[0]


def source_of(recipe: type[base.Recipe]) -> str:
    """The recipe class alone, with the constants and imports of its module."""
    module = ast.parse(inspect.getsource(inspect.getmodule(recipe)))
    kept = [
        node
        for node in module.body
        if isinstance(node, ast.Assign)
        or (isinstance(node, ast.ImportFrom) and node.module in {"typing", "pydantic"})
        or (isinstance(node, ast.ClassDef) and node.name == recipe.__name__)
    ]
    lines = inspect.getsource(inspect.getmodule(recipe)).splitlines()
    text = "\n".join("\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in kept)
    return f"{text}\nclass M:\n    pass\nRECIPE = {recipe.__name__}\nMETHOD = M\n"


def test_built_in_recipes_without_code_read_as_what_they_are() -> None:
    """The others have validators or `check_track`, exist since before a field did, or are upper bounds."""
    read = set()
    for recipe in RECIPES:
        try:
            found = method_file.read(source_of(recipe).encode()).recipe
        except InvalidMethodFile:
            continue
        assert described(found) == described(recipe)
        read.add(recipe.__name__)
    assert read >= {"ReplayRecipe", "LwFRecipe", "ICaRLRecipe", "ACILRecipe"}
    assert len(read) >= 10
    assert "JointRecipe" not in read


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"x" * 70_000, None, "70000 bytes; at most 65536"),
        ("".join(map(chr, range(33, 20_000))).encode(), None, "compresses to"),
        (b"# \xff\n", 1, "not UTF-8"),
        (changed('"""A method."""', '"""A \u202emethod."""'), 1, "invisible character U\\+202E"),
        (changed('"""A method."""', '"""A \u200bmethod."""'), 1, "U\\+200B"),
        (changed('"""A method."""', '"""A \x00method."""'), 1, "U\\+0000"),
        (changed('"""A method."""', f'"""{"x" * 300}"""'), 1, "a line has at most 200"),
        (changed("class Own(Method):", "class Own(Method:"), 28, "not Python"),
        (changed("from typing import Literal", "import os"), 3, "import of os"),
        (changed("from typing import Literal", "from . import x"), 3, "relative import"),
        (
            changed("from typing import Literal", "from sklearn.datasets import load_digits"),
            3,
            "sklearn.datasets",
        ),
        (changed("from typing import Literal", "import workers.arena"), 3, "import of workers.arena"),
        (changed("    open(", "    import gc; open("), 31, "import of gc"),
        (changed("RECIPE = OwnRecipe", ""), None, "`RECIPE = …` once"),
        (changed("RECIPE = OwnRecipe", "RECIPE = OwnRecipe\nRECIPE = Own"), None, "`RECIPE = …` once"),
        (changed("METHOD = Own", "METHOD = Recipe"), None, "`METHOD = …` once"),
        (changed("OwnRecipe(Recipe)", "OwnRecipe(dict)"), 14, "the base class Recipe"),
        (changed("OwnRecipe(Recipe)", "OwnRecipe(Recipe, frozen=False)"), 14, "neither decorators nor"),
        (changed("    uses_memory = True", "    def f(self): pass"), 20, "declarations only, not `def f"),
        (changed("    uses_memory = True", "    ranked = False"), 14, "'ranked' is not for submitted"),
        (changed("    uses_memory = True", "    colour = 1"), 20, "'colour' needs a type"),
        (changed("    uses_memory = True", "    uses_memory = 1"), 14, "uses_memory"),
        (changed("    uses_memory = True", "    classifiers = ()"), 14, "classifiers"),
        (changed('family = "rehearsal"', 'family = "magic"'), 14, "family"),
        (
            changed("    uses_memory = True", f"    presets = { {key: {} for key in 'abcdefghi'} }"),
            14,
            "presets",
        ),
        (changed('title = "Own"', f'title = "{"O" * 41}"'), 14, "title"),
        (changed('    title = "Own"\n', ""), 14, "title"),
        (changed('title = "Own"', 'title = open("x").read()'), 17, "no literal, Schedule or Citation"),
        (changed("default=0.5", "default=-0.5"), 14, "weight"),
        (changed("default=0.5", "default_factory=open"), 24, "Field takes default="),
        (changed("weight: float", "weight: object"), 24, "the type of a hyper-parameter"),
        (changed("weight: float", "values: float"), 24, "cannot be called 'values'"),
        (changed("weight: float", "model_config: float"), 24, "cannot be called"),
        (changed("milestones=(5,)", "milestones=(50,)"), 23, "no literal"),
        (changed('Literal["own"] = "own"', 'Literal["own"] = "other"'), 14, "needs its name"),
        (changed('Literal["own"] = "own"', 'Literal["../own"] = "../own"'), 14, "needs its name"),
    ],
)
def test_a_file_that_cannot_be_submitted_names_line_and_reason(
    content: bytes, line: int | None, reason: str
) -> None:
    with pytest.raises(InvalidMethodFile, match=reason) as refused:
        method_file.read(content)
    assert refused.value.line == line


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 60_000,
        "[" * 150 + "]" * 150,
        "-" * 60_000 + "1",
        "not " * 15_000 + "1",
        "1" + "+1" * 30_000,
        "1" + "**1" * 20_000,
        "a" + ".a" * 30_000,
        "a" + "()" * 30_000,
        "a" + "[0]" * 20_000,
        "lambda:" * 8_000 + "1",
        "x = 1" + " if 1 else 1" * 5_000,
        "9" * 60_000,
        "a=" * 30_000 + "1",
        "f'{" * 100 + "1" + "}'" * 100,
        "\n".join(" " * depth + "if 1:" for depth in range(99)) + "\n" + " " * 99 + "1",
        "{" * 90 + "**a, " * 90,
        "x: " + "Literal[" * 80 + "1" + "]" * 80,
        "'" * 60_001,
        "@a\n" * 20_000 + "class A: pass",
        "pass;" * 13_000,
    ],
    ids=range(20),
)
def test_a_parser_bomb_is_refused_in_little_time(bomb: str) -> None:
    wrapped = "\n".join(bomb[start : start + 190] for start in range(0, len(bomb), 190))
    for text in (
        bomb[: method_file.MAX_LINE],
        wrapped,
        f"x = (\n{wrapped}\n)",
        f"class R(Recipe):\n w: int = (\n{wrapped})",
    ):
        started = time.process_time()
        with pytest.raises(InvalidMethodFile):
            method_file.read(text.encode())
        assert time.process_time() - started < 5


def test_a_built_ins_title_is_refused_however_it_is_written() -> None:
    read = method_file.read(changed('title = "Own"', 'title = "i CA\uff32l"'))
    with pytest.raises(InvalidMethodFile, match="built-in method 'icarl'"):
        method_file.refuse_known_title(read.recipe)
    assert BY_NAME["icarl"].title == "iCaRL"
