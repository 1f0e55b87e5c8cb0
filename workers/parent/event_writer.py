"""`EventWriter`: what one attempt writes into the database, also when the database is away for a while.

Decisions:
    * One event is one fenced transaction, in the order in which the child told them. While the database is away they wait here.
    * Whether the lease still holds is the database's to say. What is reckoned here, with this machine's monotonic clock and from before
      the renewal was sent, is only how long the child may go on without an answer: never longer than the lease.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from sqlalchemy import exc
from sqlalchemy.orm import Session

from cil_core.spec.events import Event
from store import runs
from store.database.errors import LeaseLost
from store.database.session import Database
from store.runs import Claim
from workers.parent.settings import WorkerSettings

log = logging.getLogger(__name__)

AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
"""What SQLAlchemy raises when the database cannot be reached, is locked or has no room: worth another try."""

Write = Callable[[Session], object]
"""Brings a run out of `running`: finish, fail or release, with everything but the session filled in."""


class EventWriter:
    """The records of one attempt.

    Args:
        database: where to write.
        claim: what this worker holds.
        settings: the length of a lease.
        claimed_at: monotonic time before the claim was sent.
    """

    def __init__(self, database: Database, claim: Claim, settings: WorkerSettings, claimed_at: float) -> None:
        self._database, self._claim, self._settings = database, claim, settings
        self._pending: deque[Write] = deque()
        self._renewed_at = claimed_at
        self._away = False

    @property
    def lease_left(self) -> float:
        """Seconds until the lease may be lost."""
        return self._renewed_at + self._settings.lease_seconds - time.monotonic()

    def record(self, event: Event, seconds: float | None) -> None:
        """Write an event, now or when the database is back.

        Raises:
            LeaseLost: if the run is somebody else's by now.
        """
        self._pending.append(partial(runs.record, claim=self._claim, event=event, seconds=seconds))
        if not self._away:
            self._attempt(self._flush)

    def beat(self) -> bool:
        """Write what waits, renew the lease; whether the run shall be cancelled. False also if the database is away.

        Raises:
            LeaseLost: if the run is somebody else's by now.
        """
        asked = time.monotonic()
        answers: list[runs.Heartbeat] = []

        def renew() -> None:
            with self._database.transaction() as session:
                answers.append(runs.heartbeat(session, self._claim, self._settings.lease))

        if not (self._attempt(renew) and self._attempt(self._flush)):
            return False
        if not answers[0].held:
            raise LeaseLost(f"{self._claim.run_id}: attempt {self._claim.attempt} has lost its lease")
        self._renewed_at = asked
        return answers[0].cancel_requested

    def settle(self, ending: Write) -> bool:
        """Write what waits and then the ending; False if the database is away.

        Raises:
            LeaseLost: if the run is somebody else's by now.
        """
        return self._attempt(self._flush) and self._attempt(partial(self._write, ending))

    def _flush(self) -> None:
        while self._pending:
            self._write(self._pending[0])
            self._pending.popleft()

    def _write(self, entry: Write) -> None:
        with self._database.transaction() as session:
            entry(session)

    def _attempt(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except AWAY as error:
            if not self._away:
                log.warning("%s: the database is away, trying again: %s", self._claim.run_id, error)
            self._away = True
            return False
        if self._away:
            log.info("%s: the database is back", self._claim.run_id)
        self._away = False
        return True
