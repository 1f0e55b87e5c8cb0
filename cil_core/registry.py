"""From a recipe to the method that runs it: `cil_core/methods/<name>.py` holds one class that names its recipe."""

from __future__ import annotations

import importlib
from functools import cache

from cil_core.method import Method, Setting
from cil_core.recipes import base


@cache
def method_class(name: str) -> type[Method]:
    """The method of a recipe's name: the class called `METHOD` in its module.

    Raises:
        ModuleNotFoundError: if there is no such module.
    """
    module = importlib.import_module(f"cil_core.methods.{name.replace('-', '_')}")
    found: type[Method] = module.METHOD
    return found


def create(recipe: base.Recipe, setting: Setting) -> Method:
    """The method that runs `recipe`, on its device, before any class is known."""
    return method_class(recipe.name)(recipe, setting).to(setting.device)
