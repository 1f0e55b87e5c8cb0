"""`EventWriter`: the writes of one attempt to the database, also across an outage of the database.

Decisions:
    * One event is one fenced transaction, in the order of the child's reports. During an outage the events
      wait in memory.
    * Only the database decides whether the lease still holds. The clock here limits how long the child runs
      without an answer: it counts from before the renewal was sent, by this machine's monotonic clock, so it
      never exceeds the lease.
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
"""Exceptions of SQLAlchemy that mean a database out of reach, locked or full: worth a retry."""

Write = Callable[[Session], object]
"""One write of an attempt: record, finish, fail or release, with every argument but the session."""


class EventWriter:
    """Writes for one attempt.

    Args:
        database: the source of truth.
        claim: the lease of this worker on the run.
        settings: the length of a lease.
        claimed_at: monotonic time before the claim was sent.
    """

    def __init__(self, database: Database, claim: Claim, settings: WorkerSettings, claimed_at: float) -> None:
        self._database, self._claim, self._settings = database, claim, settings
        self._pending: deque[Write] = deque()
        self._renewed_at = claimed_at
        self._is_away = False

    @property
    def lease_left(self) -> float:
        """Seconds until the lease may be lost."""
        return self._renewed_at + self._settings.lease_seconds - time.monotonic()

    def record(self, event: Event, seconds: float | None) -> None:
        """Write an event, now or after the outage.

        Raises:
            LeaseLost: another attempt holds the run.
        """
        self._pending.append(partial(runs.record, claim=self._claim, event=event, seconds=seconds))
        if not self._is_away:
            self._try(self._flush)

    def heartbeat(self) -> bool:
        """Write waiting events and renew the lease.

        Returns whether a cancellation is requested, False during an outage.

        Raises:
            LeaseLost: another attempt holds the run.
        """
        sent_at = time.monotonic()
        answers: list[runs.Heartbeat] = []

        def renew() -> None:
            with self._database.transaction() as session:
                answers.append(runs.heartbeat(session, self._claim, self._settings.lease))

        if not (self._try(renew) and self._try(self._flush)):
            return False
        if not answers[0].held:
            raise LeaseLost(f"{self._claim.run_id}: attempt {self._claim.attempt} has lost its lease")
        self._renewed_at = sent_at
        return answers[0].cancel_requested

    def finish(self, outcome: Write) -> bool:
        """Write waiting events and then the outcome; False during an outage.

        Raises:
            LeaseLost: another attempt holds the run.
        """
        return self._try(self._flush) and self._try(partial(self._write, outcome))

    def _flush(self) -> None:
        while self._pending:
            self._write(self._pending[0])
            self._pending.popleft()

    def _write(self, entry: Write) -> None:
        with self._database.transaction() as session:
            entry(session)

    def _try(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except AWAY as error:
            if not self._is_away:
                log.warning("%s: the database is unreachable, trying again: %s", self._claim.run_id, error)
            self._is_away = True
            return False
        if self._is_away:
            log.info("%s: the database is reachable again", self._claim.run_id)
        self._is_away = False
        return True
