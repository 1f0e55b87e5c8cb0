"""`StrictRoute`: refuses what FastAPI would let pass.

* query parameters that the route does not know, and one given twice unless it is a list
* a body that is not declared as JSON, is nested too deeply, names a key twice or holds a character no database stores
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.http import problems
from api.http.json_pointers import pointer
from api.http.problems import Fault, Problem

MAX_DIGITS = 300
"""A longer integer is beyond every limit; it is read as infinity, which no field takes."""


class StrictRequest(Request):
    """A request whose body is read as strict JSON."""

    async def json(self) -> Any:
        """The body; raises `Problem` for what is not strict JSON."""
        return parse(await self.body(), self.app.state.settings.max_json_depth)


class StrictRoute(APIRoute):
    """The route class of every route of the API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the strict checks."""
        handler = super().get_route_handler()
        known = {
            field.alias: get_origin(field.field_info.annotation) is list
            for field in _query_fields(self.dependant)
        }

        async def strict(request: Request) -> Response:
            _check_query(request, known)
            if self.body_field and not _is_json(request.headers.get("content-type", "")):
                given = request.headers.get("content-type", "no Content-Type")
                raise Problem(
                    problems.UNSUPPORTED_MEDIA_TYPE, f"the body must be application/json, not {given[:80]!r}"
                )
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def parse(text: bytes, max_depth: int) -> Any:
    """A strict JSON value.

    NaN and infinity pass through here, so that whoever checks the fields can say which field must be finite.

    Raises:
        Problem: the text is not JSON, names a key twice, is nested deeper than `max_depth` or holds U+0000 or half a surrogate pair.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else math.inf,
        )
    except RecursionError as error:
        raise _too_deep(max_depth, "") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise Problem(
            problems.INVALID_JSON,
            f"the body is not valid JSON: {error}",
            [Fault(pointer="", detail=str(error))],
        ) from error
    _check_values(value, max_depth)
    return value


def _check_values(value: object, max_depth: int) -> None:
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while waiting:
        where, at = waiting.pop()
        if len(where) > max_depth:
            raise _too_deep(max_depth, pointer(where))
        if isinstance(at, dict):
            waiting.extend([((*where, key), inner) for key, inner in at.items()])
            waiting.extend([((*where, key), key) for key in at])
        elif isinstance(at, list):
            waiting.extend([((*where, index), inner) for index, inner in enumerate(at)])
        elif isinstance(at, str) and any(
            character == "\0" or "\ud800" <= character <= "\udfff" for character in at
        ):
            printable = pointer(where).encode("ascii", "backslashreplace").decode()
            raise _invalid(printable, "text holds neither U+0000 nor half a surrogate pair")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)[:80]!r} stands twice in one object"
        )
    return found


def _too_deep(max_depth: int, where: str) -> Problem:
    return _invalid(where, f"the body is nested more than {max_depth} levels deep")


def _invalid(where: str, detail: str) -> Problem:
    return Problem(problems.INVALID_JSON, detail, [Fault(pointer=where, detail=detail)])


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _check_query(request: Request, known: dict[str, bool]) -> None:
    """Refuse parameters that are not `known`, and repeated ones that may not be: `known` says of each whether it may."""
    given = [name for name, _ in request.query_params.multi_items()]
    faults = [
        Fault(
            parameter=name,
            detail=f"unknown query parameter; known: {', '.join(sorted(known)) or 'none'}"
            if name not in known
            else "given more than once",
        )
        for name in dict.fromkeys(given)
        if name not in known or (given.count(name) > 1 and not known[name])
    ]
    faults += [
        Fault(parameter=name, detail="text holds no U+0000")
        for name, value in request.query_params.multi_items()
        if "\0" in value
    ]
    if faults:
        raise Problem(
            problems.INVALID_QUERY, f"query parameter {faults[0].parameter!r}: {faults[0].detail}", faults
        )


def _query_fields(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for inner in dependant.dependencies:
        yield from _query_fields(inner)
