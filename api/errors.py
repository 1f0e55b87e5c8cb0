"""Translates every exception that ends a request to a problem (RFC 9457).

    Problem                     unchanged RequestValidationError      invalid-body with JSON pointers,
    invalid-query, or not-found for an impossible identifier InvalidSpec                 invalid-body: the
    engine's own checks, `field` is the pointer StoreError                  not-found, already-terminal,
    idempotency-key-reused, request-in-flight, invalid-cursor, not-comparable HTTPException (routing)
    not-found, method-not-allowed SQLAlchemy's OperationalError, InterfaceError and pool timeouts
    database-unavailable, with Retry-After

Any other exception is a defect: `api.http.middleware` logs it and answers `internal`. A browser receives the
problem as a page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as RoutingError
from starlette.routing import Match

from api.http import problems
from api.http.cursors import invalid_cursor
from api.http.json_pointers import body_faults, pointer, query_faults
from api.http.links import path_of, root_of
from api.http.problems import Fault, Problem, not_found
from api.pages import problem_page
from cil_core.spec.errors import InvalidSpec
from store.database.errors import (
    AlreadyTerminal,
    InvalidCursor,
    KeyInFlight,
    KeyReused,
    NotComparable,
    NotFound,
    NotReplayable,
)

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Register the translations."""
    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(
        RequestValidationError,
        lambda request, error: _answer(request, invalid_request(error, _expected_body(request))),
    )
    app.add_exception_handler(InvalidSpec, lambda request, error: _answer(request, invalid_spec(error)))
    app.add_exception_handler(RoutingError, lambda request, error: _answer(request, _routing(request, error)))
    for refusal, translate in _REFUSALS.items():
        app.add_exception_handler(refusal, partial(_answer_translated, translate))
    for kind in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(kind, lambda request, error: _answer(request, _unavailable(error)))


def invalid_request(error: RequestValidationError, model: type[BaseModel]) -> Problem:
    """The problem for a request that fails validation.

    Args:
        error: the validation errors.
        model: the expected model of the body.
    """
    found = error.errors()
    in_body = [item for item in found if item["loc"][0] == "body"]
    elsewhere = [item for item in found if item["loc"][0] in ("query", "header")]
    if len(in_body) + len(elsewhere) < len(found):
        return not_found("resource with the identifier", str(found[0]["input"]))
    if not in_body:
        return _listing(problems.INVALID_QUERY, query_faults(elsewhere))
    if error.body in (None, b""):
        return Problem(
            problems.INVALID_BODY,
            "a JSON body is required",
            [Fault(pointer="", detail="a JSON object is required")],
        )
    return _listing(problems.INVALID_BODY, body_faults(in_body, error.body, model) + query_faults(elsewhere))


def _expected_body(request: Request) -> type[BaseModel]:
    """The model of the body of the matched route."""
    field = request.scope["route"].body_field
    expected = field.field_info.annotation if field else None
    return expected if isinstance(expected, type) and issubclass(expected, BaseModel) else BaseModel


def invalid_spec(error: InvalidSpec) -> Problem:
    """The problem for a well-formed spec that cannot be run."""
    return _listing(problems.INVALID_BODY, [Fault(pointer=pointer(error.field), detail=str(error))])


_REFUSALS: dict[type[Exception], Callable[[str], Problem]] = {
    NotFound: lambda said: Problem(problems.NOT_FOUND, said),
    AlreadyTerminal: lambda said: Problem(problems.ALREADY_TERMINAL, said),
    KeyReused: lambda said: Problem(
        problems.KEY_REUSED, said, [Fault(header="Idempotency-Key", detail=said)]
    ),
    KeyInFlight: lambda said: Problem(problems.IN_FLIGHT, said, headers={"Retry-After": "1"}),
    InvalidCursor: invalid_cursor,
    NotReplayable: lambda said: Problem(problems.NOT_REPLAYABLE, said),
    NotComparable: lambda said: Problem(problems.NOT_COMPARABLE, said),
}
"""The problem for each exception of the store."""


def _answer_translated(translate: Callable[[str], Problem], request: Request, error: Exception) -> Response:
    return _answer(request, translate(str(error)))


def _listing(kind: problems.Kind, faults: list[Fault]) -> Problem:
    first = faults[0]
    rest = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem(
        kind,
        f"{first.pointer or first.parameter or first.header or 'the body'}: {first.detail}{rest}",
        faults,
    )


def _routing(request: Request, error: Exception) -> Problem:
    status = error.status_code if isinstance(error, RoutingError) else 500
    match status:
        case 404:
            return not_found("resource at", path_of(request.scope))
        case 405:
            allowed = ", ".join(_allowed_methods(request))
            return Problem(
                problems.METHOD_NOT_ALLOWED,
                f"{request.method} is not allowed here; allowed: {allowed}",
                headers={"Allow": allowed},
            )
    return Problem(problems.INVALID_JSON, "the body is not valid JSON")


def _allowed_methods(request: Request) -> list[str]:
    def answers(method: str) -> bool:
        return any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )

    found = [method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if answers(method)]
    return ["GET", "HEAD", *found[1:]] if "GET" in found else found


def _unavailable(error: Exception) -> Problem:
    log.error("the database does not respond: %s", error)
    return Problem(
        problems.UNAVAILABLE,
        "the database does not respond; nothing was written",
        headers={"Retry-After": "5"},
    )


def _answer(request: Request, error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else Problem(problems.INTERNAL, problems.INTERNAL.help)
    request_id = request.scope.get("state", {}).get("request_id")
    if "text/html" in request.headers.get("accept", "") and not path_of(request.scope).startswith("/api/"):
        return problem_page.render(request, problem)
    return problem.response(request_id, root_of(request.scope))
