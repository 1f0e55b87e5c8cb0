"""The checks of a submitted method find what its author must know."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from cil_core.spec import method_file
from cil_core.spec.jobs import RunSpec
from cil_core.spec.submitted_method import SubmittedMethod
from tests.workers.arena.submissions import MACHINE
from workers.arena.checks import check, short_recipe
from workers.arena.examiner import examine
from workers.arena.fork_server import ForkServer
from workers.arena.submission import Limits, Submission

EXAMPLE = Path(__file__).parents[3] / "examples" / "adjusted_replay.py"
FACTS = [
    "the title is not that of a built-in method",
    "it learns three tasks",
    "it learns them again",
    "it learns a small and then a large task",
    "the same seed gives the same result",
    "an answer depends on its own image alone",
]


def changed(old: str, new: str) -> method_file.MethodFile:
    text = EXAMPLE.read_text()
    assert text.count(old) == 1
    return method_file.read(text.replace(old, new).encode())


def test_the_example_passes(server: ForkServer) -> None:
    results = [*check(method_file.read(EXAMPLE.read_bytes()), MACHINE, server, "off")]
    assert [one.fault for one in results] == [None] * 8
    assert [one.fact for one in results[:6]] == FACTS
    assert results[6].fact.startswith("it beats chance: ")
    assert results[7].fact.endswith(" bytes, 60 exemplars among them")


def test_a_file_that_fails_shows_its_error_and_ends_the_check(server: ForkServer) -> None:
    file = changed("return {", "raise KeyError('my mistake')\n        return {")
    *_, last = check(file, MACHINE, server, "off")
    assert (last.fact, last.fault) == ("it learns three tasks", "MethodError: KeyError: 'my mistake'")


def test_a_title_of_a_built_in_method_is_found(server: ForkServer) -> None:
    first = next(check(changed('title = "Adjusted replay"', 'title = "REPLAY"'), MACHINE, server, "off"))
    assert first.fault == "the title 'REPLAY' is that of the built-in method 'replay'"


def test_a_file_that_defines_another_recipe_when_it_runs_breaks_a_rule(server: ForkServer) -> None:
    file = changed(
        "RECIPE = AdjustedReplayRecipe", "RECIPE = AdjustedReplayRecipe\nRECIPE.classifiers = ('nme',)"
    )
    method = SubmittedMethod.of(file, short_recipe(file.recipe, 1).model_dump(mode="json"))
    spec = RunSpec.model_validate(
        {"method": method, "track": "digits-b0-inc5-m60-convnet-holdout50", "seed": 1}
    )
    submission = Submission(file.text, method.recipe(file))
    with pytest.raises(Exception, match="defines another about of its recipe"):
        list(examine(spec, submission, MACHINE, server, Limits()))


def test_the_template_of_a_new_method_can_be_read() -> None:
    text = resources.files("workers.cli").joinpath("method_template.txt").read_text(encoding="utf-8")
    filled = text.replace("TITLE", "Mine").replace("CLASS", "Mine").replace("NAME", "mine")
    assert method_file.read(filled.encode()).recipe.title == "Mine"
