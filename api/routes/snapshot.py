"""All public data in one response."""

from __future__ import annotations

import json
from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from api.deps import DatabaseDep, SettingsDep, rates_of, within
from api.http import problems
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from cil_core.spec.base import one_line
from store.database.session import Database
from store.snapshot import records

router = APIRouter(tags=["snapshot"], route_class=StrictRoute)

MEDIA_TYPE = "application/x-ndjson"


@router.get(
    "/snapshot",
    operation_id="getSnapshot",
    response_class=Response,
    responses={
        200: {
            "description": "One JSON record per line",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **documented(problems.TOO_MANY_REQUESTS, problems.INVALID_QUERY),
    },
)
def read_snapshot(request: Request, database: DatabaseDep, settings: SettingsDep) -> StreamingResponse:
    """All public data, as `cil export` writes and `cil import` loads it.

    Datasets, tracks, finished runs with all counts, reported results and leaderboard entries. The first
    record describes the snapshot. The last one, of kind `end`, has the number of records per kind; without it
    the response is incomplete.
    """
    address = request.client.host if request.client else "unknown"
    within(
        rates_of(request).hit("snapshots", address, settings.snapshots_per_minute),
        "snapshots per address",
    )
    return StreamingResponse(_lines(database), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def _lines(database: Database) -> Iterator[bytes]:
    for record in records(database):
        yield one_line(json.dumps(record, ensure_ascii=False, separators=(",", ":"))).encode() + b"\n"
