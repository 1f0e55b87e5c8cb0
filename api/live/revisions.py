"""`Revisions`: the revisions of leaderboards, read once for all who ask at the same time.

Decisions:
    * Whoever asks while a read is under way waits for the next one, which begins after they asked: nobody is told less than what was committed by then.
    * With many clients the database is asked a few hundred times a second and not once for each of them.
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
        database: which one.
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
        return await asyncio.shield(answer)  # whoever gives up takes the answer from nobody else

    async def _read(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                found = await run_in_threadpool(self._look_up, wanted)
            except Exception as failure:  # noqa: BLE001 - it belongs to those who asked
                for answer in wanted.values():
                    answer.set_exception(failure)
                    answer.exception()  # seen, even if everybody has given up
            else:
                for slug, answer in wanted.items():
                    answer.set_result(found[slug])

    def _look_up(self, slugs: Iterable[str]) -> dict[str, str]:
        with self._database.reading() as session:
            return {slug: revision(session, slug) for slug in slugs}
