"""`StrictRoute`: refuses what FastAPI would accept.

* unknown query parameters, and repeated ones, unless they are lists
* a body that is not sent as JSON, is nested too deeply, repeats a key or contains a character that databases
  reject
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, get_origin

from fastapi import Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from api.http import problems
from api.http.json_pointers import pointer, unknown_parameter
from api.http.problems import Fault, Problem

MAX_DIGITS = 300
"""A longer integer exceeds every limit; it is read as infinity, which no field accepts."""

_NOT_IN_QUERY = (params.Path, params.Header, params.Cookie)


class StrictRequest(Request):
    """A request whose body is read as strict JSON."""

    async def json(self) -> Any:
        """The body; raises `Problem` if it is not strict JSON."""
        return parse(await self.body(), self.app.state.settings.max_json_depth)


class StrictRoute(APIRoute):
    """The class of every route."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, preceded by the strict checks."""
        handler = super().get_route_handler()
        known = query_fields(self.dependant)

        async def strict(request: Request) -> Response:
            _check_query(request, known)
            if self.body_field and not _is_json(request.headers.get("content-type", "")):
                given = request.headers.get("content-type", "no Content-Type")
                raise Problem(
                    problems.UNSUPPORTED_MEDIA_TYPE, f"the body must be application/json, not {given[:80]!r}"
                )
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def query_fields(dependant: Dependant) -> dict[str, bool]:
    """The query parameters of a route by name; whether each one may repeat."""
    return {
        field.alias: get_origin(field.field_info.annotation) is list
        for field in get_flat_params(dependant)
        if not isinstance(field.field_info, _NOT_IN_QUERY)
    }


def parse(text: bytes, max_depth: int) -> Any:
    """A strict JSON value.

    NaN and infinity pass: the check of the fields then names the field that must be finite.

    Raises:
        Problem: the text is not JSON, repeats a key, is nested deeper than `max_depth`, or contains U+0000 or
            half a surrogate pair.
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
            raise _invalid(printable, "U+0000 and unpaired surrogates are not allowed")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {name[:80]!r}")
    return found


def _too_deep(max_depth: int, where: str) -> Problem:
    return _invalid(where, f"the body is nested more than {max_depth} levels deep")


def _invalid(where: str, detail: str) -> Problem:
    return Problem(problems.INVALID_JSON, detail, [Fault(pointer=where, detail=detail)])


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _check_query(request: Request, fields: Mapping[str, bool]) -> None:
    """Refuse unknown parameters, and repeated ones that may not repeat.

    Args:
        request: the request.
        fields: known parameters by name; whether each one may repeat.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    faults = [Fault(parameter=name, detail=unknown_parameter(fields)) for name in given if name not in fields]
    faults += [
        Fault(parameter=name, detail="given more than once")
        for name, times in given.items()
        if times > 1 and fields.get(name) is False
    ]
    faults += [
        Fault(parameter=name, detail="U+0000 is not allowed")
        for name, value in request.query_params.multi_items()
        if "\0" in value
    ]
    if faults:
        raise Problem(
            problems.INVALID_QUERY, f"query parameter {faults[0].parameter!r}: {faults[0].detail}", faults
        )
