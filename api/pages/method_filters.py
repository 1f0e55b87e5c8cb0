"""Filters of the list of methods, and in a line what a method keeps and what it costs.

Decisions:
    * An empty field of the form means no filter.
    * Everything shown derives from class attributes and defaults of the recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

from api.http.parameters import Parameters, one_of
from cil_core.spec.recipes import RECIPES
from cil_core.spec.recipes.base import Recipe

FAMILIES = tuple(dict.fromkeys(recipe.family for recipe in RECIPES))
YEARS = tuple(sorted({recipe.citation.year for recipe in RECIPES if recipe.citation}, reverse=True))
EXEMPLARS = {"kept": "keeps exemplars", "none": "keeps none"}
PRETRAINED = {"required": "required", "optional": "optional", "refused": "not possible"}
GROWTH = {
    "nothing": "keeps its size",
    "last stage": "adds a last stage per task",
    "backbone": "adds a backbone per task",
}


class MethodFilters(Parameters):
    """The form's fields, empty ones included."""

    family: Annotated[str, one_of("", *FAMILIES)] = ""
    year: Annotated[str, one_of("", *map(str, YEARS))] = ""
    exemplars: Annotated[str, one_of("", *EXEMPLARS)] = ""
    pretrained: Annotated[str, one_of("", *PRETRAINED)] = ""
    growth: Annotated[str, one_of("", *GROWTH)] = ""

    @property
    def used(self) -> dict[str, str]:
        """The filters in use."""
        return {name: value for name, value in self.model_dump().items() if value}

    def apply(self, recipes: Iterable[type[Recipe]]) -> list[type[Recipe]]:
        """The recipes that pass every filter in use, in their order."""
        used = self.used
        return [recipe for recipe in recipes if all(_VALUES[name](recipe) == used[name] for name in used)]


_VALUES: dict[str, Callable[[type[Recipe]], str]] = {
    "family": lambda recipe: recipe.family,
    "year": lambda recipe: str(recipe.citation.year) if recipe.citation else "",
    "exemplars": lambda recipe: "kept" if recipe.uses_memory else "none",
    "pretrained": lambda recipe: recipe.pretrained,
    "growth": lambda recipe: recipe.grows,
}


def keeps(recipe: type[Recipe]) -> str:
    """What a method keeps between tasks."""
    memory = "exemplars within the track's budget" if recipe.uses_memory else "no exemplars"
    if not recipe.ranked:
        memory = "all training images, outside of any budget"
    return f"Keeps {memory}; the network {GROWTH[recipe.grows]}."


def costs(recipe: type[Recipe]) -> str:
    """The passes over its data that a method's default makes."""
    epochs = [
        f"{schedule.epochs:,} ({name.replace('_', ' ')})"
        for name, schedule in recipe.published().schedules.items()
    ]
    return f"Epochs by default: {', '.join(epochs)}."
