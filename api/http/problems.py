"""The vocabulary of what can go wrong over HTTP: one `Kind` each, and `Problem`, the exception that carries one.

Decisions:
    * RFC 9457: `application/problem+json` with a `type` that never changes. It is a path on this service, where a page explains it.
    * A fault in the body is located by an RFC 6901 JSON pointer, one in the query or a header by its name.
    * What is said is for the caller: what was given and what is allowed. Never a stack trace, SQL or a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """One stable type of problem."""

    slug: str
    status: int
    title: str
    help: str

    @property
    def type(self) -> str:
        """The `type` member of the answer."""
        return f"/problems/{self.slug}"


INVALID_JSON = Kind(
    "invalid-json",
    400,
    "The body is not valid JSON",
    "Send one JSON object, at most 16 levels deep, each key once.",
)
INVALID_BODY = Kind(
    "invalid-body",
    422,
    "The body is not valid",
    "Each of `errors` names a field by JSON pointer and says what is allowed there.",
)
INVALID_QUERY = Kind(
    "invalid-query",
    422,
    "A query parameter or header is not valid",
    "Unknown parameters are refused, not ignored; see `errors`.",
)
INVALID_CURSOR = Kind(
    "invalid-cursor",
    422,
    "The cursor is not valid",
    "Follow `next_cursor` unchanged and with the same filters, or start at the first page.",
)
NOT_COMPARABLE = Kind(
    "not-comparable",
    422,
    "These cannot stand side by side",
    "2 to 8 different entries of one track, or methods that stand on all tracks.",
)
UNAUTHENTICATED = Kind(
    "unauthenticated", 401, "A valid token is needed", "Send `Authorization: Bearer cil_…`."
)
FORBIDDEN = Kind(
    "forbidden", 403, "The token does not allow this", "The detail names the scope that is needed."
)
NOT_FOUND = Kind("not-found", 404, "There is no such thing here", "Check the identifier.")
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed", 405, "The method is not allowed here", "The `Allow` header lists those that are."
)
NOT_ACCEPTABLE = Kind(
    "not-acceptable", 406, "No such representation", "The detail lists the media types there are."
)
ALREADY_TERMINAL = Kind("already-terminal", 409, "The job has ended already", "Terminal states never change.")
NOT_REPLAYABLE = Kind(
    "not-replayable",
    409,
    "The run cannot be replayed",
    "Only runs that succeeded, with the engine and the data this service has now.",
)
IN_FLIGHT = Kind(
    "request-in-flight",
    409,
    "The same request is being answered",
    "Try again with the same Idempotency-Key in a moment.",
)
TOO_LARGE = Kind("body-too-large", 413, "The body is too large", "The detail says the limit.")
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type", 415, "The body is not sent as JSON", "Send `Content-Type: application/json`."
)
KEY_REUSED = Kind(
    "idempotency-key-reused",
    422,
    "The Idempotency-Key belongs to another request",
    "Use a fresh key for each different request.",
)
TOO_MANY_RUNS = Kind(
    "too-many-runs", 429, "Too many runs are waiting", "Wait until some have ended, or cancel some."
)
TOO_MANY_REQUESTS = Kind(
    "too-many-requests", 429, "Too many requests", "Wait for the seconds in `Retry-After`."
)
TOO_MANY_STREAMS = Kind(
    "too-many-streams",
    503,
    "Too many event streams are open",
    "Try again in a moment, or read the events as pages of JSON.",
)
UNAVAILABLE = Kind(
    "database-unavailable", 503, "The database does not answer", "Nothing was written. Try again in a moment."
)
INTERNAL = Kind("internal", 500, "An error of ours", "It is logged under the request id of this answer.")

KINDS = {
    kind.slug: kind
    for kind in (
        INVALID_JSON, INVALID_BODY, INVALID_QUERY, INVALID_CURSOR, NOT_COMPARABLE, UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, ALREADY_TERMINAL,
        NOT_REPLAYABLE, IN_FLIGHT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, KEY_REUSED, TOO_MANY_RUNS, TOO_MANY_REQUESTS, TOO_MANY_STREAMS, UNAVAILABLE, INTERNAL,
    )
}  # fmt: skip

OF_A_BODY = (INVALID_JSON, INVALID_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)
"""What a route with a body refuses."""

OF_A_KEY = (IN_FLIGHT, KEY_REUSED)
"""What a route with an Idempotency-Key refuses."""


class Fault(BaseModel):
    """One thing that is wrong with a request, and where."""

    model_config = ConfigDict(frozen=True)

    detail: str = Field(examples=["unknown dataset 'mnist'; known: cifar10, cifar100, digits"])
    pointer: str | None = Field(
        default=None, description="JSON pointer into the body.", examples=["/track/dataset"]
    )
    parameter: str | None = Field(default=None, description="Name of a query parameter.")
    header: str | None = Field(default=None, description="Name of a header.")


class ProblemAnswer(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    type: str = Field(examples=[INVALID_BODY.type])
    title: str
    status: int
    detail: str
    instance: str | None = Field(
        default=None, description="The request this is about: the value of its X-Request-ID header."
    )
    errors: list[Fault] | None = None


class Problem(HTTPException):
    """Raised anywhere in a request to end it with a problem.

    Args:
        kind: the type of problem.
        detail: one sentence to the caller: what was given, what is allowed.
        errors: the single faults, for an invalid body or query.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        errors: list[Fault] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status_code=kind.status, detail=detail, headers=headers)
        self.kind = kind
        self.errors = errors

    def answer(self, request_id: str | None, root: str = "") -> ProblemAnswer:
        """The body of the response."""
        return ProblemAnswer(
            type=root + self.kind.type,
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            instance=request_id and f"urn:request:{request_id}",
            errors=self.errors,
        )

    def response(self, request_id: str | None = None, root: str = "") -> JSONResponse:
        """The whole response; `root` precedes the paths of this site."""
        body = self.answer(request_id, root).model_dump(exclude_none=True)
        return JSONResponse(body, self.kind.status, headers=dict(self.headers or {}), media_type=MEDIA_TYPE)


def not_found(what: str, given: str) -> Problem:
    """The 404 for an identifier that names nothing."""
    return Problem(NOT_FOUND, f"there is no {what} {given[:200]!r}")


def documented(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for OpenAPI: one for each status, with an example for each kind; where a token is asked for, its rate is limited."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in dict.fromkeys(
        (*kinds, *((TOO_MANY_REQUESTS,) if UNAUTHENTICATED in kinds else ()), UNAVAILABLE)
    ):
        example = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": kind.help}
        entry = found.setdefault(
            kind.status,
            {
                "description": HTTPStatus(kind.status).phrase,
                "content": {MEDIA_TYPE: {"schema": _SCHEMA, "examples": {}}},
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {"summary": kind.title, "value": example}
    return found


_SCHEMA = {"$ref": "#/components/schemas/ProblemAnswer"}
