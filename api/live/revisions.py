"""`Revisions`: the revisions of leaderboards, read once for all concurrent requests.

Decisions:
    * A request during a read waits for the next one. That read starts after the request, so it sees every
      earlier commit.
    * With many clients, the database receives a few hundred queries per second instead of one per request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fastapi.concurrency import run_in_threadpool

from store.database.session import Database
from store.leaderboard.tracks import revision


class Revisions:
    """The revisions of the tracks of one database, for the event loop of one process.

    Args:
        database: holds the tracks.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted: dict[str, asyncio.Future[str]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def get(self, slug: str) -> str:
        """The revision of a track's leaderboard; raises what the database raises."""
        answer = self._wanted.get(slug)
        if answer is None:
            answer = self._wanted[slug] = asyncio.get_running_loop().create_future()
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        return await asyncio.shield(answer)  # a cancelled request leaves the others' future intact

    async def _read(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                found = await run_in_threadpool(self._look_up, wanted)
            except Exception as failure:  # noqa: BLE001 - raised in the waiting requests
                for answer in wanted.values():
                    answer.set_exception(failure)
                    answer.exception()  # retrieved, even if every request was cancelled
            else:
                for slug, answer in wanted.items():
                    answer.set_result(found[slug])

    def _look_up(self, slugs: Iterable[str]) -> dict[str, str]:
        with self._database.reading() as session:
            return {slug: revision(session, slug) for slug in slugs}
