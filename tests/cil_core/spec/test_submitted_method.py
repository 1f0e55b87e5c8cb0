"""A submitted method in a spec: identified by its file, validated by the recipe that the file declares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec import method_file
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import JobSpec, RunSpec, SubmittedJobSpec
from cil_core.spec.submitted_method import SubmittedMethod

FILE = method_file.read(b'''
from typing import Literal

from pydantic import Field

from cil_core.learning.method import Method
from cil_core.spec.recipes.base import Recipe


class OwnRecipe(Recipe):
    title = "Own"
    family = "baseline"
    summary = "Does something."
    presets = {"half": {"weight": 0.5}}

    name: Literal["own"] = "own"
    weight: float = Field(default=1.0, ge=0, description="Of a loss.")


class Own(Method):
    """A method."""


RECIPE = OwnRecipe
METHOD = Own
''')
TRACK = "digits-b0-inc5-m60-convnet"


def test_its_json_spells_out_every_value_and_the_file() -> None:
    method = SubmittedMethod.of(FILE, {"name": "ada/own", "preset": "half"})
    content = json.loads(method.canonical_json())
    assert content.keys() == {"name", "source", "weight", "first_task"}
    assert (content["name"], content["source"], content["weight"]) == ("ada/own", FILE.digest, 0.5)
    assert method.recipe(FILE) == FILE.recipe.from_preset("half")


def test_a_spec_with_a_source_survives_json_and_needs_no_file() -> None:
    spec = RunSpec.model_validate({"method": SubmittedMethod.of(FILE, {}), "track": TRACK, "seed": 1})
    again = RunSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert isinstance(again.method, SubmittedMethod)
    assert again.digest() == spec.digest()
    assert json.loads(spec.canonical_json())["method"] == json.loads(spec.method.canonical_json())


def test_another_file_is_another_run() -> None:
    specs = [
        RunSpec.model_validate(
            {"method": {"name": "own", "source": digit * 64, "weight": 1.0}, "track": TRACK, "seed": 1}
        )
        for digit in "ab"
    ]
    assert specs[0].digest() != specs[1].digest()


def test_a_built_in_recipe_keeps_its_hash() -> None:
    # canonical JSON of 2026-11, before submitted methods existed
    spec = RunSpec.model_validate({"method": {"name": "finetune"}, "track": TRACK, "seed": 1})
    job = JobSpec.model_validate({"method": {"name": "finetune"}, "track": TRACK, "seeds": [1]})
    assert json.loads(spec.canonical_json())["method"] == json.loads(job.canonical_json())["method"]
    assert spec.digest() == "fc724983e7ac8cef271bafcb1cd5d3103e22b66966d365168db3683fdd95a13e"


@pytest.mark.parametrize(
    ("values", "error", "reason"),
    [
        ({"name": "other"}, InvalidSpec, "defines the method 'own', not 'other'"),
        ({"weight": -1.0}, ValidationError, "greater than or equal to 0"),
        ({"weight": "1"}, ValidationError, "valid number"),
        ({"unknown": 1}, ValidationError, "not permitted"),
        ({"preset": "whole"}, ValidationError, "does not exist"),
        ({"name": "a/b/own"}, ValidationError, "pattern"),
    ],
)
def test_values_that_the_file_does_not_allow_are_refused(
    values: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        SubmittedMethod.of(FILE, values)


def test_another_file_is_not_taken_for_the_one_of_the_spec() -> None:
    method = SubmittedMethod.model_validate({"name": "own", "source": "0" * 64, "weight": 1.0})
    with pytest.raises(InvalidSpec, match="names the file 000000000000…"):
        method.recipe(FILE)


def test_a_job_of_a_service_takes_no_submitted_method_yet() -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate({"method": {"name": "own", "source": "0" * 64}, "track": TRACK, "seeds": [1]})


def test_a_job_has_one_run_per_seed() -> None:
    job = SubmittedJobSpec.model_validate(
        {"method": SubmittedMethod.of(FILE, {}), "track": TRACK, "seeds": [3, 4]}
    )
    assert [(one.seed, one.method) for one in job.runs()] == [(3, job.method), (4, job.method)]


def test_the_engine_does_not_run_a_submitted_method() -> None:
    spec = RunSpec.model_validate({"method": SubmittedMethod.of(FILE, {}), "track": TRACK, "seed": 1})
    with pytest.raises(InvalidSpec, match="runs in the arena"):
        list(run(spec, Machine(data_root=Path("/nonexistent"))))
