"""Pydantic's validation errors as faults with JSON pointers.

Decisions:
    * Pydantic's location also names branches of unions (`icarl`, `function-after`). A pointer names only
      parts of the body, so the location is followed through the body and the other parts are dropped.
    * The fault of an unknown field lists the known ones, found by following the same location through the
      models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from api.http.problems import Fault
from cil_core.spec.recipes import BY_NAME

Location = Sequence[str | int]


def pointer(parts: Location) -> str:
    """The RFC 6901 JSON pointer to `parts`; the empty string is the whole body."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def body_faults(errors: Sequence[ErrorDetails], body: object, model: type[BaseModel]) -> list[Fault]:
    """One fault per validation error of the body.

    Args:
        errors: of pydantic; in FastAPI every location starts with `body`.
        body: the body.
        model: the expected model.
    """
    return [_body_fault(error, body, model) for error in errors if not _follows(error, errors)]


def query_faults(errors: Sequence[ErrorDetails]) -> list[Fault]:
    """One fault per error in the query or the headers."""
    return [
        Fault(detail=_detail(error), header=str(error["loc"][-1]).title())
        if error["loc"][0] == "header"
        else Fault(detail=_detail(error), parameter=str(error["loc"][1]))
        for error in errors
    ]


def unknown_parameter(known: Iterable[str]) -> str:
    """What is wrong with a query parameter that is not `known`."""
    return f"unknown query parameter; known: {', '.join(sorted(known)) or 'none'}"


def _follows(error: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether a list is too short only because pydantic does not count its invalid items."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in errors
    )


def _body_fault(error: ErrorDetails, body: object, model: type[BaseModel]) -> Fault:
    location = error["loc"][1:]
    where, at, beyond = _in_body(location, body, absent=error["type"] == "missing")
    match error["type"]:
        case "union_tag_invalid" | "union_tag_not_found":
            given = error.get("ctx", {}).get("tag")
            said = f"unknown method {given!r}" if given is not None else "the method's name is required"
            return Fault(
                pointer=pointer([*where, "name"]), detail=f"{said}; known: {', '.join(sorted(BY_NAME))}"
            )
        case "extra_forbidden":
            known = ", ".join(_known_fields(location[:-1], model))
            return Fault(pointer=pointer(where), detail=f"unknown field {where[-1]!r}; known: {known}")
        case "model_type" | "model_attributes_type" | "dict_type":
            return Fault(
                pointer=pointer(where), detail=f"a JSON object is required; given: {_short(error['input'])}"
            )
    detail = _detail(error)
    if isinstance(at, str) and beyond:  # a well-formed slug of an impossible track
        detail = f"{'.'.join(map(str, beyond))}: {detail}"
    first_word = detail.partition(" ")[0]
    if (
        isinstance(at, dict) and first_word in at
    ):  # an error of a whole object that begins with the name of one field
        where = [*where, first_word]
    return Fault(pointer=pointer(where), detail=detail)


def _in_body(
    location: Location, body: object, absent: bool
) -> tuple[list[str | int], object, list[str | int]]:
    """Follow `location` through the body.

    Returns:
        The parts found in the body, and the last part if it is the missing field; the value at the end of
        these parts; the remaining parts.
    """
    found: list[str | int] = []
    beyond: list[str | int] = []
    at: Any = body
    for index, part in enumerate(location):
        is_present = (
            part in at
            if isinstance(at, dict)
            else isinstance(at, list) and isinstance(part, int) and part < len(at)
        )
        if is_present:
            at = at[part]
        elif not (absent and index == len(location) - 1):
            beyond.append(part)
            continue
        found.append(part)
    return found, at, beyond


def _known_fields(location: Location, model: type[BaseModel]) -> list[str]:
    """Fields of the model that `location` leads to, starting at `model`."""
    models = [model]
    for part in map(str, location):
        tagged: list[type[BaseModel]] = [candidate for candidate in models if candidate is BY_NAME.get(part)]
        fields = [candidate.model_fields[part] for candidate in models if part in candidate.model_fields]
        models = tagged or [found for field in fields for found in _models_in(field.annotation)] or models
    return sorted(
        {name for candidate in models for name in candidate.model_fields}
        | ({"preset"} if models[0] in BY_NAME.values() else set())
    )


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]


def _detail(error: ErrorDetails | Mapping[str, Any]) -> str:
    said = str(error["msg"]).removeprefix("Value error, ")
    said = said[:1].lower() + said[1:]
    if error["type"] in ("missing", "value_error"):
        return said
    return f"{said}; given: {_short(error['input'])}"


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 80 else text[:79] + "…"
