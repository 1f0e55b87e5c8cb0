"""A recipe class as JSON: everything that users see of a method besides its code.

Decision: two classes with equal descriptions are interchangeable for the service. The reader of submitted
files makes one class without running the file; the running file defines another, and both must agree.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python

from cil_core.spec.recipes import base

ABOUT = tuple(
    name
    for name in base.Recipe.__annotations__
    if name in base.Recipe.__class_vars__ and name not in {"presets", "model_config"}
)
"""Class attributes of a recipe, besides its presets."""


def described(recipe: type[base.Recipe]) -> dict[str, Any]:
    """The class attributes, JSON schema, defaults and resolved presets of a recipe class."""
    return {
        "about": {name: to_jsonable_python(getattr(recipe, name)) for name in ABOUT},
        "schema": recipe.model_json_schema(),
        "defaults": recipe.published().model_dump(mode="json"),
        "presets": {name: recipe.from_preset(name).model_dump(mode="json") for name in recipe.presets},
    }
