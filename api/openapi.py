"""The OpenAPI 3.1 document: FastAPI's, with the schemas that routes refer to by name."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http.problems import ProblemAnswer
from api.schemas.jobs import Events

DESCRIPTION = """Submit class-incremental learning experiments, follow them, and compare their results.

Reading is public. Writing requires a bearer token. Errors are `application/problem+json` (RFC 9457) with a
stable `type`; `errors` locates each faulty field by a JSON pointer. Unknown fields and query parameters are
refused. Every GET route also answers HEAD."""

_REFERRED = (ProblemAnswer, Events)


def install(app: FastAPI) -> None:
    """Make `app` serve this document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = document["components"]["schemas"]
            for model in _REFERRED:
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= schema.pop("$defs", {})
                schemas[model.__name__] = schema
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
