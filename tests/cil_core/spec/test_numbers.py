"""Numbers in specs are never converted from other types."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from cil_core.spec.jobs import MemoryBudget, Protocol, RunSpec, Track
from cil_core.spec.recipes import RECIPES
from cil_core.spec.schedule import Schedule


def numbers_in(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Every field of a model whose JSON is a number: its name, and `integer` or `number`."""
    for name, schema in model.model_json_schema()["properties"].items():
        for option in [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]:
            if option.get("type") in {"integer", "number"}:
                yield name, option["type"]


MODELS = (RunSpec, MemoryBudget, Protocol, Schedule, Track, *RECIPES)
WRONG: dict[str, tuple[object, ...]] = {"integer": (True, "1", 1.0), "number": (True, "1")}
NUMBERS = [
    (model, field, kind, value)
    for model in MODELS
    for field, kind in numbers_in(model)
    for value in WRONG[kind]
]


@pytest.mark.parametrize(("model", "field", "kind", "value"), NUMBERS)
def test_nothing_is_converted_to_a_number(
    model: type[BaseModel], field: str, kind: str, value: object
) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate({field: value})
    at_field = [error["type"] for error in refused.value.errors() if error["loc"][0] == field]
    assert ("int_type" if kind == "integer" else "float_type") in at_field


@pytest.mark.parametrize("milestones", [[True], [1.0], ["1"]])
def test_milestones_are_integers(milestones: list[object]) -> None:
    with pytest.raises(ValidationError, match="valid integer"):
        Schedule.model_validate({"epochs": 5, "milestones": milestones})
