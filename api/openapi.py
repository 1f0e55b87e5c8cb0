"""The OpenAPI 3.1 document: what FastAPI writes, with the problem's schema that every route refers to."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http.problems import ProblemAnswer
from api.schemas.jobs import Events

DESCRIPTION = """Submit class-incremental learning experiments, follow them, and compare their results.

Reading is public. Writing needs a bearer token. Errors are `application/problem+json` (RFC 9457): a stable `type`, and `errors` with a JSON pointer to each
faulty field. Unknown fields and query parameters are refused."""

_REFERRED = (ProblemAnswer, Events)


def install(app: FastAPI) -> None:
    """Let `app` answer with this document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            written = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = written["components"]["schemas"]
            for model in _REFERRED:
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= schema.pop("$defs", {})
                schemas[model.__name__] = schema
            app.openapi_schema = written
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
