"""From a recipe to the method that runs it: each `cil_core/methods/<name>.py` assigns its class to `METHOD`.

In module names a hyphen becomes an underscore and a Python keyword gets a trailing one: `der-wa` is
`der_wa.py`, `pass` is `pass_.py`.
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
    """The method class of a recipe's name: `METHOD` in its module.

    Raises:
        ModuleNotFoundError: if no module has this name.
    """
    module = importlib.import_module(module_name(name))
    found: type[Method] = module.METHOD
    return found


def create(recipe: base.Recipe, context: RunContext) -> Method:
    """A new method that runs `recipe`, on the device of `context`, before the first task."""
    return method_class(recipe.name)(recipe, context).to(context.device)
