"""`EventFeed`: the events of jobs as they are written, for any number of listeners.

Decisions:
    * One task per process queries the progress of all followed jobs a few times per second. A stream sleeps
      on an asyncio event until its job has progressed. An idle stream costs no thread, connection or query,
      and needs no Redis.
    * A stream reads its events in pages, at its listener's speed: a slow listener neither delays others nor
      fills memory.
    * While the database does not respond, streams wait; then they continue after their last event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.http import problems
from api.http.problems import Problem
from api.schemas.jobs import has_ended
from store.database.models import Event
from store.database.session import Database
from store.queries.progress import JobProgress, job_progress
from store.runs import job_events

log = logging.getLogger(__name__)

PAGE = 200


@dataclass(eq=False)
class _Follower:
    """One listener: its job and its latest event."""

    job_id: str
    after: int
    address: str
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class EventFeed:
    """The event feed of one API process.

    Args:
        database: stores the events.
        poll: interval between queries while any stream is open.
        max_streams: most open streams.
        max_per_address: most open streams of one address.
    """

    def __init__(self, database: Database, poll: timedelta, max_streams: int, max_per_address: int) -> None:
        self._database = database
        self._poll_seconds = poll.total_seconds()
        self._max_streams = max_streams
        self._max_per_address = max_per_address
        self._followers: set[_Follower] = set()
        self._watch: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """Number of open streams."""
        return len(self._followers)

    def check_room(self, address: str) -> None:
        """Refuse a stream beyond the limits, in total or per address.

        Raises:
            Problem: too-many-streams.
        """
        if sum(follower.address == address for follower in self._followers) >= self._max_per_address:
            raise Problem(
                problems.TOO_MANY_STREAMS,
                f"your address has {self._max_per_address} open event streams, the maximum",
                headers={"Retry-After": "10"},
            )
        if len(self._followers) >= self._max_streams:
            raise Problem(
                problems.TOO_MANY_STREAMS,
                f"this process serves {self._max_streams} event streams, the maximum",
                headers={"Retry-After": "10"},
            )

    async def follow(
        self, job_id: str, after: int, patience: timedelta, address: str
    ) -> AsyncGenerator[Event | None]:
        """The events of a job with a sequence above `after`, until its last one.

        Args:
            job_id: an existing job.
            after: sequence number of the latest known event; 0 for all.
            patience: None is yielded after each such interval without events.
            address: of the listener.
        """
        follower = _Follower(job_id, after, address)
        self._followers.add(follower)
        self._ensure_watching()
        try:
            while True:
                page = await self._page(follower)
                for event in page:
                    follower.after = event.sequence
                    yield event
                if page and has_ended(page[-1]):
                    return
                if len(page) < PAGE and not await _waited(follower.moved, patience):
                    yield None
        finally:
            self._followers.discard(follower)

    async def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _page(self, follower: _Follower) -> list[Event]:
        follower.moved.clear()  # before reading: events written from now on set it again
        try:
            return await run_in_threadpool(self._read, follower.job_id, follower.after)
        except SQLAlchemyError as error:
            log.warning("cannot read the events of %s, its stream waits: %s", follower.job_id, error)
            return []

    def _read(self, job_id: str, after: int) -> list[Event]:
        with self._database.reading() as session:
            return job_events(session, job_id, after, PAGE)

    def _ensure_watching(self) -> None:
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watching(), name="event feed")

    async def _watching(self) -> None:
        while self._followers:
            await asyncio.sleep(self._poll_seconds)
            try:
                latest = await run_in_threadpool(
                    self._query, {follower.job_id for follower in self._followers}
                )
            except SQLAlchemyError as error:
                log.warning("cannot read the event log, streams wait: %s", error)
                continue
            for follower in self._followers:  # a new follower has just read its own events
                if follower.job_id in latest and latest[follower.job_id].last_sequence > follower.after:
                    follower.moved.set()

    def _query(self, job_ids: set[str]) -> dict[str, JobProgress]:
        with self._database.reading() as session:
            return job_progress(session, job_ids)


async def _waited(moved: asyncio.Event, patience: timedelta) -> bool:
    """Whether the event was set within `patience`."""
    try:
        async with asyncio.timeout(patience.total_seconds()):
            await moved.wait()
    except TimeoutError:
        return False
    return True
