"""Liveness, readiness and metrics."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from api.deps import SettingsDep
from api.http.metrics import MEDIA_TYPE
from api.http.strict_requests import StrictRoute

log = logging.getLogger(__name__)

router = APIRouter(tags=["health"], route_class=StrictRoute)


class Health(BaseModel):
    """The state of the service, with the reason if it is unavailable."""

    status: str
    detail: str | None = None


@router.get("/livez", operation_id="livez")
async def live() -> Health:
    """Whether the process responds, independent of the database."""
    return Health(status="ok")


@router.get(
    "/readyz",
    operation_id="readyz",
    responses={503: {"model": Health, "description": "Unavailable, with the reason"}},
)
def ready(response: Response, settings: SettingsDep) -> Health:
    """Whether the database responds and has this version's schema."""
    import migrations  # noqa: PLC0415 - Alembic would slow down every start

    try:
        found = migrations.current(settings.database_url)
    except SQLAlchemyError as error:
        log.warning("not ready: %s", error)
        return _not_ready(response, "the database does not respond")
    if found != migrations.HEAD:
        return _not_ready(
            response, f"the database has schema revision {found}; this version needs {migrations.HEAD}"
        )
    return Health(status="ok")


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Metrics for Prometheus: requests of this process; queues, leases and workers of the database."""
    return Response(request.app.state.metrics.text(), media_type=MEDIA_TYPE)


def _not_ready(response: Response, detail: str) -> Health:
    response.status_code = 503
    response.headers["Retry-After"] = "5"
    return Health(status="unavailable", detail=detail)
