"""`Caretaker`: a worker's periodic duties: heartbeat, reaping, waking others, deleting checkpoints.

Decisions:
    * Any number of workers may do this at once: the store lets exactly one reaper take a lost run back.
    * After an outage of the database every lease looks lost. Their holders get a few heartbeats of grace
      before anything is reaped.
    * Nothing here may stop a worker: a failure is logged, and the next round tries again.
"""

from __future__ import annotations

import logging
import threading
import time

from pydantic import JsonValue

from store import runs
from store.access import idempotency
from store.database.errors import NotFound
from store.database.session import Database
from store.runs import WorkerOffer
from workers.parent.event_writer import AWAY
from workers.parent.listener import Listener
from workers.parent.retention import sweep
from workers.parent.settings import WorkerSettings

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 60.0
_GRACE_HEARTBEATS = 3


class Caretaker:
    """Works in a thread of its own.

    Args:
        offer: the worker.
        info: host, versions and slots of the worker.
        database: the source of truth.
        listener: wakes the workers of a queue when one of its runs is ready.
        settings: intervals, and which checkpoints to keep.
    """

    def __init__(
        self,
        offer: WorkerOffer,
        info: dict[str, JsonValue],
        database: Database,
        listener: Listener,
        settings: WorkerSettings,
    ) -> None:
        self._offer, self._info = offer, info
        self._database, self._listener, self._settings = database, listener, settings
        self._closing = threading.Event()
        self._swept = self._away_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)

    def start(self) -> None:
        """Start the thread; the first round begins at once."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and mark the worker as stopped."""
        self._closing.set()
        self._thread.join(self._settings.grace_seconds)
        try:
            with self._database.transaction() as session:
                runs.worker_stopped(session, self._offer.id)
        except (*AWAY, NotFound) as error:
            log.warning("could not mark this worker as stopped: %s", error)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._round()
            except AWAY as error:
                self._away_at = time.monotonic()
                log.warning("the database is unreachable, trying again: %s", error)
            except Exception:
                log.exception("a round of the caretaker failed")
            self._closing.wait(self._settings.heartbeat_seconds)

    def _round(self) -> None:
        self._send_heartbeat()
        if time.monotonic() - self._away_at > _GRACE_HEARTBEATS * self._settings.heartbeat_seconds:
            self._reap()
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = time.monotonic()
            self._sweep()
            self._delete_expired_keys()

    def _reap(self) -> None:
        with self._database.transaction() as session:
            reaped = runs.reap(session, self._settings.retry)
        for word, ids in (
            ("requeued", reaped.requeued),
            ("dead", reaped.dead),
            ("cancelled", reaped.cancelled),
        ):
            for run_id in ids:
                log.warning("%s: its worker is lost; %s", run_id, word)
        for queue in reaped.unclaimed:
            self._listener.ring(queue)

    def _sweep(self) -> None:
        with self._database.reading() as session:
            removed = sweep(session, self._settings.checkpoints, self._settings.keep_checkpoints)
        for item in removed:
            log.info("%s is %s: deleted its checkpoints (%d bytes)", item.run_id, item.state, item.size_bytes)

    def _delete_expired_keys(self) -> None:
        with self._database.transaction() as session:
            deleted = idempotency.delete_expired(session)
        if deleted:
            log.info("%d expired idempotency keys deleted", deleted)

    def _send_heartbeat(self) -> None:
        with self._database.transaction() as session:
            try:
                runs.worker_heartbeat(session, self._offer.id)
            except NotFound:
                runs.register_worker(session, self._offer, self._info)
