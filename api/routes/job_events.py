"""The events of a job: as a live stream (SSE), or as pages of JSON.

Decisions:
    * One address has two representations, chosen by `Accept`; without a preference the client receives the
      stream.
    * The stream's ids are sequence numbers, so a browser that reconnects continues after its last event. The
      stream ends with `event: end`.
    * Events come from the database alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.deps import DatabaseDep, FeedDep
from api.http import problems
from api.http.parameters import JobId, Parameters
from api.http.problems import Problem, documented
from api.http.strict_requests import StrictRoute
from api.live.event_feed import EventFeed
from api.schemas.jobs import Events, event_answer
from cil_core.spec.base import one_line
from store.database.errors import NotFound
from store.database.session import Database
from store.queries.progress import JobProgress, job_progress
from store.runs import job_events

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=StrictRoute)

PING = timedelta(seconds=15)
"""Interval of comments on an idle stream: proxies keep it open, and closed connections are detected."""

MAX_SEQUENCE = 2**31 - 1


class EventsParameters(Parameters):
    """Where to start, and how many events to return."""

    cursor: int = Field(
        default=0,
        ge=0,
        le=MAX_SEQUENCE,
        description="Start after the event with this sequence number.",
    )
    limit: int = Field(default=500, ge=1, le=1000, description="Events per page; the stream has no limit.")


_ID = {"type": "string", "pattern": "^[0-9]+$", "description": "The sequence number of the latest event."}
_EVENT = {
    "type": "object",
    "title": "JobEvent",
    "required": ["id", "data"],
    "properties": {
        "event": {"const": "message"},
        "id": _ID,
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/EventAnswer"},
        },
    },
}
_END = {
    "type": "object",
    "title": "EndOfJob",
    "description": "The job has ended and the stream closes.",
    "required": ["event", "id", "data"],
    "properties": {"event": {"const": "end"}, "id": _ID, "data": {"const": "{}"}},
}
_STREAM = {
    "itemSchema": {"oneOf": [_EVENT, _END]},
    "example": 'data: {"sequence": 1, "kind": "job_submitted", …}\nid: 1\n\nevent: end\ndata: {}\nid: 1\n\n',
}


@router.get(
    "/{job_id}/events",
    operation_id="readJobEvents",
    response_class=Response,
    responses={
        200: {
            "description": "The events of the job, as a live stream or as a page",
            "content": {
                "text/event-stream": _STREAM,
                "application/json": {"schema": {"$ref": "#/components/schemas/Events"}},
            },
        },
        **documented(
            problems.NOT_FOUND, problems.NOT_ACCEPTABLE, problems.INVALID_QUERY, problems.TOO_MANY_STREAMS
        ),
    },
)
async def read_events(
    request: Request,
    job_id: JobId,
    database: DatabaseDep,
    feed: FeedDep,
    query: Annotated[EventsParameters, Query()],
    last_event_id: Annotated[
        int | None,
        Header(
            ge=0,
            le=MAX_SEQUENCE,
            description="Sent by a browser that reconnects; takes precedence over `cursor`.",
        ),
    ] = None,
) -> Response:
    """The events of a job, from its submission to its end."""
    after = query.cursor if last_event_id is None else last_event_id
    if _representation(request.headers.get("accept", "*/*")) == "application/json":
        page = await run_in_threadpool(_page, database, job_id, after, query.limit)
        return JSONResponse(page.model_dump(mode="json"))
    address = request.client.host if request.client else "unknown"
    feed.check_room(address)
    status = await run_in_threadpool(_progress, database, job_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_stream(feed, job_id, after, status, address), headers=headers)


async def _stream(
    feed: EventFeed, job_id: str, after: int, status: JobProgress, address: str
) -> AsyncIterator[bytes]:
    if status.ended and after >= status.last_sequence:  # a listener that reconnects after the end
        yield _end(after)
        return
    async with aclosing(feed.follow(job_id, after, PING, address)) as events:
        async for event in events:
            if event is None:
                yield format_sse_event(comment="ping")
                continue
            yield format_sse_event(
                data_str=one_line(event_answer(event).model_dump_json()), id=str(event.sequence)
            )
            after = event.sequence
    yield _end(after)


def _end(after: int) -> bytes:
    return format_sse_event(event="end", data_str="{}", id=str(after))


def _progress(database: Database, job_id: str) -> JobProgress:
    with database.reading() as session:
        return _progress_in(session, job_id)


def _progress_in(session: Session, job_id: str) -> JobProgress:
    found = job_progress(session, [job_id])
    if job_id not in found:
        raise NotFound(f"no job {job_id!r}")
    return found[job_id]


def _page(database: Database, job_id: str, after: int, limit: int) -> Events:
    with database.reading() as session:
        status = _progress_in(session, job_id)
        events = job_events(session, job_id, after, limit)
    reached = events[-1].sequence if events else after
    complete = status.ended and reached >= status.last_sequence
    return Events(
        items=[event_answer(event) for event in events], next_cursor=None if complete else str(reached)
    )


def _representation(accept: str) -> str:
    """The media type of the response; the stream if both are acceptable.

    Raises:
        Problem: not-acceptable, if neither is.
    """
    wanted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if wanted & {"text/event-stream", "*/*", "text/*"}:
        return "text/event-stream"
    if wanted & {"application/json", "application/*"}:
        return "application/json"
    raise Problem(
        problems.NOT_ACCEPTABLE,
        f"events are available as text/event-stream or application/json, not as {accept[:80]!r}",
    )
