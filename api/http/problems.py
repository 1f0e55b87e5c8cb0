"""Every type of error over HTTP as a `Kind`, and `Problem`, the exception that carries one.

Decisions:
    * RFC 9457: `application/problem+json` with a `type` that never changes. It is the path of a page that
      explains it.
    * An RFC 6901 JSON pointer locates a fault in the body; a name identifies a query parameter or header.
    * The detail addresses the caller: what was given, what is allowed. Never a stack trace, SQL or a file
      path.
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
    """A stable type of problem."""

    slug: str
    status: int
    title: str
    help: str

    @property
    def type(self) -> str:
        """The `type` member of the response."""
        return f"/problems/{self.slug}"


INVALID_JSON = Kind(
    "invalid-json",
    400,
    "Invalid JSON",
    "Send one JSON object, nested at most 16 levels deep, without duplicate keys.",
)
INVALID_BODY = Kind(
    "invalid-body",
    422,
    "Invalid body",
    "Each of `errors` locates a field by a JSON pointer and says which values are allowed.",
)
INVALID_QUERY = Kind(
    "invalid-query",
    422,
    "Invalid query parameter or header",
    "Each of `errors` names a parameter or header. Unknown parameters are refused.",
)
INVALID_CURSOR = Kind(
    "invalid-cursor",
    422,
    "Invalid cursor",
    "Send `next_cursor` unchanged, with the same filters, or start at the first page.",
)
NOT_COMPARABLE = Kind(
    "not-comparable",
    422,
    "Not comparable",
    "Compare 2 to 8 different entries of one track, or methods with entries on every given track.",
)
UNAUTHENTICATED = Kind("unauthenticated", 401, "Valid token required", "Send `Authorization: Bearer cil_…`.")
FORBIDDEN = Kind("forbidden", 403, "Not allowed", "The detail names the required scope or role.")
NOT_FOUND = Kind("not-found", 404, "Not found", "Check the identifier.")
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed", 405, "Method not allowed", "The `Allow` header lists the allowed methods."
)
NOT_ACCEPTABLE = Kind("not-acceptable", 406, "Not acceptable", "The detail lists the available media types.")
ALREADY_TERMINAL = Kind("already-terminal", 409, "Job has already ended", "Terminal states never change.")
NOT_REPLAYABLE = Kind(
    "not-replayable",
    409,
    "Run cannot be replayed",
    "Only a successful run of the current engine version on the current data can be replayed.",
)
IN_FLIGHT = Kind(
    "request-in-flight",
    409,
    "Request still in progress",
    "Retry with the same Idempotency-Key in a moment.",
)
TOO_LARGE = Kind("body-too-large", 413, "Body too large", "The detail states the limit.")
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type", 415, "Unsupported media type", "Send `Content-Type: application/json`."
)
KEY_REUSED = Kind(
    "idempotency-key-reused",
    422,
    "Idempotency-Key already used",
    "Use a new key for each different request.",
)
TOO_MANY_RUNS = Kind(
    "too-many-runs",
    429,
    "Too many unfinished runs",
    "Wait until some of your runs have ended, or cancel some.",
)
TOO_MANY_REQUESTS = Kind(
    "too-many-requests", 429, "Too many requests", "Wait for the number of seconds in `Retry-After`."
)
TOO_MANY_STREAMS = Kind(
    "too-many-streams",
    503,
    "Too many open event streams",
    "Retry in a moment, or read the events as pages of JSON.",
)
UNAVAILABLE = Kind(
    "database-unavailable", 503, "Database unavailable", "Nothing was written. Retry in a moment."
)
INTERNAL = Kind("internal", 500, "Internal error", "The server log has the details under this request id.")

KINDS = {
    kind.slug: kind
    for kind in (
        INVALID_JSON,
        INVALID_BODY,
        INVALID_QUERY,
        INVALID_CURSOR,
        NOT_COMPARABLE,
        UNAUTHENTICATED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        NOT_ACCEPTABLE,
        ALREADY_TERMINAL,
        NOT_REPLAYABLE,
        IN_FLIGHT,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        KEY_REUSED,
        TOO_MANY_RUNS,
        TOO_MANY_REQUESTS,
        TOO_MANY_STREAMS,
        UNAVAILABLE,
        INTERNAL,
    )
}

OF_A_BODY = (INVALID_JSON, INVALID_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)
"""Problems of a route with a body."""

OF_A_KEY = (IN_FLIGHT, KEY_REUSED)
"""Problems of a route with an Idempotency-Key."""


class Fault(BaseModel):
    """One fault of a request, and its location."""

    model_config = ConfigDict(frozen=True)

    detail: str = Field(examples=["unknown dataset 'mnist'; known: cifar10, cifar100, digits"])
    pointer: str | None = Field(
        default=None, description="JSON pointer into the body.", examples=["/track/dataset"]
    )
    parameter: str | None = Field(default=None, description="Name of a query parameter.")
    header: str | None = Field(default=None, description="Name of a header.")


class ProblemAnswer(BaseModel):
    """The body of every error response (RFC 9457)."""

    type: str = Field(examples=[INVALID_BODY.type])
    title: str
    status: int
    detail: str
    instance: str | None = Field(
        default=None, description="The request: the value of its X-Request-ID header."
    )
    errors: list[Fault] | None = None


class Problem(HTTPException):
    """Ends a request with a problem; may be raised anywhere.

    Args:
        kind: the type of problem.
        detail: one sentence for the caller: what was given, what is allowed.
        errors: each fault of an invalid body or query.
        headers: further headers of the response.
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
    """The 404 for an unknown identifier."""
    return Problem(NOT_FOUND, f"no {what} {given[:200]!r}")


def documented(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for OpenAPI: one per status, with an example per kind.

    Every route may answer that the database is unavailable, and every route that needs a token limits its
    rate.
    """
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
