"""The submission form: its fields from a recipe's schema, and the job that a filled form describes.

Decisions:
    * Only values that differ from the preset are part of the job, so it reads as its author thinks of it.
    * Text that is not JSON stays text, so that the job's own checks refuse it with their messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from api.pages.proposals import TRACK
from api.schemas.catalog import recipe_named
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import JobSpec
from cil_core.spec.recipes.base import Recipe
from cil_core.spec.schedule import Schedule
from cil_core.spec.suites import SEEDS

DEFAULTS = {
    "method": "icarl",
    "preset": "",
    "track": TRACK,
    "seeds": ", ".join(map(str, SEEDS)),
    "name": "",
    "submission": "",
}
PREFIX = "recipe."
"""Precedes the names of a recipe's fields in the form."""


@dataclass(frozen=True, slots=True)
class HyperparameterField:
    """A hyper-parameter as a field of the form.

    Attributes:
        name: of the recipe's field.
        value: the text in the field.
        options: allowed values; empty for free text.
        numeric: whether it is a number.
        long: whether it is JSON of several values.
        note: meaning and source.
    """

    name: str
    value: str
    options: tuple[str, ...]
    numeric: bool
    long: bool
    note: str


def body_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The job that a form describes, as the API accepts it."""
    recipe = recipe_named(form["method"])
    base = _base(recipe, form["preset"])
    changed: dict[str, Any] = {}
    for name in hyperparameters(recipe):
        typed, default = form.get(PREFIX + name), _plain(base, name)
        if typed is not None and (value := _parsed(typed)) != default and typed != str(default):
            changed[name] = _difference(value, default)
    method = {"name": form["method"], **({"preset": form["preset"]} if form["preset"] else {}), **changed}
    seeds = [_parsed(seed.strip()) for seed in form["seeds"].split(",") if seed.strip()]
    note = {"name": form["name"]} if form["name"].strip() else {}
    return {"method": method, "track": form["track"].strip(), "seeds": seeds, **note}


def fields_of(recipe: type[Recipe], form: Mapping[str, str]) -> list[HyperparameterField]:
    """The fields for a recipe, with the typed values or those of the preset."""
    schema, base = recipe.model_json_schema(), _base(recipe, form["preset"])
    return [
        _field(name, schema["properties"][name], _plain(base, name), form.get(PREFIX + name))
        for name in hyperparameters(recipe)
    ]


def hyperparameters(recipe: type[Recipe]) -> list[str]:
    """The names of a recipe's hyper-parameters."""
    return [name for name in recipe.model_fields if name != "name"]


def faults_of(error: ValidationError | InvalidSpec, body: Mapping[str, Any]) -> dict[str, str]:
    """The faults of a job by field of the form; the first one of each field."""
    if isinstance(error, InvalidSpec):
        return {_field_at(error.field, body): str(error)}
    return {
        _field_at(fault["loc"], body): fault["msg"].removeprefix("Value error, ")
        for fault in reversed(error.errors())
    }


def form_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """The form of a submitted job, with every value."""
    job = JobSpec.model_validate({**spec, "name": None})  # an older job may have a name that is refused today
    values = {PREFIX + name: _text(_plain(job.method, name)) for name in hyperparameters(type(job.method))}
    return {
        "method": job.method.name,
        "preset": job.method.variant if job.method.variant in job.method.presets else "",
        "track": job.track.slug,
        "seeds": ", ".join(map(str, job.seeds)),
        "name": spec.get("name") or "",
        **values,
    }


def _field(name: str, schema: Mapping[str, Any], value: Any, typed: str | None) -> HyperparameterField:
    flag = isinstance(value, bool)
    return HyperparameterField(
        name=name,
        value=_text(value) if typed is None else typed,
        options=("true", "false") if flag else tuple(map(str, schema.get("enum", ()))),
        numeric=isinstance(value, int | float) and not flag,
        long=isinstance(value, dict | list),
        note=schema.get("description", ""),
    )


def _field_at(place: tuple[str | int, ...], body: Mapping[str, Any]) -> str:
    """The field of the form that holds a place of the job."""
    parts = [str(part) for part in place if part != body["method"]["name"]]
    if parts[:1] == ["method"]:
        return PREFIX + parts[1] if len(parts) > 1 and parts[1] not in {"name", "preset"} else "method"
    return parts[0] if parts else ""


def _base(recipe: type[Recipe], preset: str) -> Recipe:
    return recipe.from_preset(preset) if preset in recipe.presets else recipe.published()


def _plain(recipe: Recipe, name: str) -> Any:
    """A hyper-parameter as JSON has it."""
    value = getattr(recipe, name)
    if isinstance(value, Schedule):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _difference(given: Any, default: Any) -> Any:
    """The changed items of a mapping; any other value as it is."""
    if not isinstance(given, dict) or not isinstance(default, dict):
        return given
    return {name: value for name, value in given.items() if name not in default or value != default[name]}


def _parsed(typed: str) -> Any:
    try:
        return json.loads(typed)
    except ValueError:
        return typed
