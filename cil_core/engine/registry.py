"""From a recipe to the method that runs it: `cil_core/methods/<name>.py` holds one class that names its recipe.

A hyphen of the name is an underscore in the module, and a name that Python reserves ends in one: `der-wa` is `der_wa.py`, `pass` is `pass_.py`.
"""

from __future__ import annotations

import importlib
import keyword
from functools import cache

from cil_core.learning.method import Method, RunContext
from cil_core.spec.recipes import base


def module_name(name: str) -> str:
    """The module of a recipe's name, e.g. `cil_core.methods.icarl`."""
    stem = name.replace("-", "_")
    return f"cil_core.methods.{stem}_" if keyword.iskeyword(stem) else f"cil_core.methods.{stem}"


@cache
def method_class(name: str) -> type[Method]:
    """The method of a recipe's name: the class called `METHOD` in its module.

    Raises:
        ModuleNotFoundError: if there is no such module.
    """
    module = importlib.import_module(module_name(name))
    found: type[Method] = module.METHOD
    return found


def create(recipe: base.Recipe, context: RunContext) -> Method:
    """The method that runs `recipe`, on its device, before any class is known."""
    return method_class(recipe.name)(recipe, context).to(context.device)
