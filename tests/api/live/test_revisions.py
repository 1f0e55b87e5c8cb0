"""Concurrent requests share one read of a revision, which starts after them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from api.live.revisions import Revisions
from store.leaderboard.tracks import raise_revision

TRACK = "digits-b0-inc2-m50-convnet"


@pytest.fixture
def asked(service: Any, client: Any, a_job: Any) -> list[str]:
    """The times the database was asked for a revision."""
    client.post("/api/v1/jobs", json=a_job())
    found: list[str] = []
    event.listen(
        service.database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_: found.append(statement) if "revision" in statement else None,
    )
    return found


def test_concurrent_requests_share_a_read(service: Any, asked: list[str]) -> None:
    async def together() -> list[str]:
        revisions = Revisions(service.database)
        return await asyncio.gather(*(revisions.get(TRACK) for _ in range(50)), revisions.get("another"))

    *same, other = asyncio.run(together())
    assert set(same) == {"0-0-None"}
    assert other == "None-0-None"
    assert len(asked) == 2  # one for each track


def test_a_request_never_receives_an_older_revision(service: Any, asked: list[str]) -> None:
    def change() -> None:
        with service.database.transaction() as session:
            raise_revision(session, TRACK)

    async def many() -> None:
        revisions = Revisions(service.database)

        async def change_and_ask(number: int) -> None:
            await asyncio.sleep(0.002 * number)  # while others' reads are under way
            await asyncio.to_thread(change)
            changed.append(len(changed) + 1)
            least = len(changed)
            told = int((await revisions.get(TRACK)).split("-")[0])
            assert told >= least

        await asyncio.gather(*(change_and_ask(number) for number in range(20)))

    changed: list[int] = []
    asyncio.run(many())
    assert len(changed) == 20
    assert asked


def test_a_database_failure_reaches_waiting_requests_only(service: Any, asked: list[str]) -> None:
    async def through_a_fault() -> tuple[list[Any], str]:
        revisions = Revisions(service.database)

        def fail(*_: Any) -> None:
            raise OperationalError("SELECT", {}, Exception("away"))

        event.listen(service.database.engine, "before_cursor_execute", fail)
        failed = await asyncio.gather(revisions.get(TRACK), revisions.get(TRACK), return_exceptions=True)
        event.remove(service.database.engine, "before_cursor_execute", fail)
        return failed, await revisions.get(TRACK)

    failed, later = asyncio.run(through_a_fault())
    assert [type(failure) for failure in failed] == [OperationalError, OperationalError]
    assert later == "0-0-None"


def test_a_cancelled_request_leaves_the_others_their_answer(service: Any, asked: list[str]) -> None:
    async def one_leaves() -> str:
        revisions = Revisions(service.database)
        leaving, staying = (
            asyncio.create_task(revisions.get(TRACK)),
            asyncio.create_task(revisions.get(TRACK)),
        )
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert asyncio.run(one_leaves()) == "0-0-None"
