"""`SubmittedMethod`: in a run's spec, a method that a file defines, with every hyper-parameter.

    {"name": "ada/gdumb", "source": "5dfc64…", "first_task": {…}, "weight": 0.5}

Decisions:
    * `source`, the SHA-256 of the file, tells it from a built-in recipe. It is part of the canonical JSON, so
      run keys, digests and entries of one file never mix with those of another.
    * The hyper-parameters were validated by the recipe that the file declares. Reading a spec needs no file,
      and `recipe` validates them again where the file is at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, JsonValue

from cil_core.spec.base import Frozen, Submitted
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.method_file import MethodFile
from cil_core.spec.recipes import base

_OWN = frozenset({"name", "source"})


class SubmittedMethod(Submitted, Frozen):
    """A submitted method and all its hyper-parameters."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: str = Field(
        pattern=r"^([a-z0-9]+(-[a-z0-9]+)*/)?[a-z0-9]+(-[a-z0-9]+)*$",
        max_length=81,
        description="Owner and name, or the name alone before it is uploaded.",
    )
    source: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file.")

    @classmethod
    def of(cls, file: MethodFile, values: Mapping[str, Any]) -> Self:
        """The method of a file with these values; what is left out is the preset's, or the default.

        Args:
            file: declares the recipe.
            values: `name`, `preset` and hyper-parameters, as for a built-in recipe.

        Raises:
            InvalidSpec: the name is another one.
            pydantic.ValidationError: a value does not fit.
        """
        declared = file.recipe.model_fields["name"].default
        name = values.get("name", declared)
        if not isinstance(name, str) or name.rpartition("/")[2] != declared:
            raise InvalidSpec(f"the file defines the method {declared!r}, not {name!r}", ("method", "name"))
        recipe = file.recipe.model_validate({**values, "name": declared})
        return cls.model_validate({**recipe.model_dump(mode="json"), "name": name, "source": file.digest})

    def recipe(self, file: MethodFile) -> base.Recipe:
        """The recipe of this method.

        Raises:
            InvalidSpec: the file is another one.
            pydantic.ValidationError: a value does not fit.
        """
        if file.digest != self.source:
            raise InvalidSpec(
                f"the spec names the file {self.source[:12]}…, not {file.digest[:12]}…", ("method", "source")
            )
        return file.recipe.model_validate(self.model_dump(mode="json", exclude=set(_OWN)))


def is_submitted(value: object) -> bool:
    """Whether a value, or its JSON, is a submitted method rather than a built-in recipe."""
    return isinstance(value, SubmittedMethod) or (isinstance(value, dict) and "source" in value)
