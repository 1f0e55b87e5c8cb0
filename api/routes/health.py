"""Is the process alive, and can it do its work?"""

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
    """Whether the service is well, and if not, why."""

    status: str
    detail: str | None = None


@router.get("/livez", operation_id="livez")
async def live() -> Health:
    """The process answers; says nothing of the database."""
    return Health(status="ok")


@router.get(
    "/readyz",
    operation_id="readyz",
    responses={503: {"model": Health, "description": "Not ready, with the reason"}},
)
def ready(response: Response, settings: SettingsDep) -> Health:
    """The database answers and has the schema of this version."""
    import migrations  # noqa: PLC0415 - Alembic would slow every start down for the sake of this one question

    try:
        found = migrations.current(settings.database_url)
    except SQLAlchemyError as error:
        log.warning("not ready: %s", error)
        return _not_ready(response, "the database does not answer")
    if found != migrations.HEAD:
        return _not_ready(
            response, f"the database is at schema revision {found}; this version needs {migrations.HEAD}"
        )
    return Health(status="ok")


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """For Prometheus: requests of this process, and queues, leases and workers as the database has them."""
    return Response(request.app.state.metrics.text(), media_type=MEDIA_TYPE)


def _not_ready(response: Response, detail: str) -> Health:
    response.status_code = 503
    response.headers["Retry-After"] = "5"
    return Health(status="unavailable", detail=detail)
