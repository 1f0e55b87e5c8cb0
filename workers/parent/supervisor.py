"""`Supervisor`: keeps the slots of a worker filled until it is stopped.

Decisions:
    * It looks for work after a wake-up, when a slot becomes free, and every few seconds.
    * It reads the lists of datasets and weights at every claim: a new registration needs no restart.
    * When stopped, it claims nothing more and releases every run after its current checkpoint.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from cil_core.spec import folder_datasets
from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import DataError
from cil_core.spec.weights_files import usable
from store import runs
from store.database.session import Database
from store.runs import Claim, WorkerOffer
from workers.parent.event_writer import AWAY
from workers.parent.execution import Execution, Placement
from workers.parent.listener import Listener
from workers.parent.settings import WorkerSettings

log = logging.getLogger(__name__)


class Supervisor:
    """Claims runs and executes them, each in a thread with a child.

    Args:
        offer: the worker; its datasets are filled in at every claim.
        slots: runs at a time.
        placement: where children run.
        database: the source of truth.
        listener: wakes the supervisor up.
        settings: intervals and limits.
    """

    def __init__(
        self,
        offer: WorkerOffer,
        slots: int,
        placement: Placement,
        database: Database,
        *,
        listener: Listener,
        settings: WorkerSettings,
    ) -> None:
        self._offer, self._slots, self._placement = offer, slots, placement
        self._database, self._listener, self._settings = database, listener, settings
        self._running: dict[threading.Thread, Execution] = {}
        self._stopping = False
        self._is_away = False

    def stop(self) -> None:
        """Drain and return from `run`; safe in a signal handler."""
        self._stopping = True
        self._listener.wake()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            self._remove_finished()
            while len(self._running) < self._slots and not self._stopping and self._start_one():
                pass
            self._listener.wait(self._settings.poll_seconds)
        self._drain()

    def _remove_finished(self) -> None:
        self._running = {
            thread: execution for thread, execution in self._running.items() if thread.is_alive()
        }

    def _start_one(self) -> bool:
        claimed_at = time.monotonic()
        claim = self._claim()
        if claim is None:
            return False
        about = {"run_id": claim.run_id, "job_id": claim.job_id, "attempt": claim.attempt}
        log.info(
            "%s: attempt %d of %s on %s, seed %d",
            claim.run_id,
            claim.attempt,
            claim.spec.method.name,
            claim.spec.track.slug,
            claim.spec.seed,
            extra=about,
        )
        execution = Execution(claim, self._database, self._settings, self._placement, claimed_at)
        thread = threading.Thread(target=self._execute, args=(execution,), name=claim.run_id, daemon=True)
        self._running[thread] = execution
        thread.start()
        return True

    def _execute(self, execution: Execution) -> None:
        try:
            execution.run()
        finally:
            claim = execution.claim
            log.info(
                "%s: attempt %d is over",
                claim.run_id,
                claim.attempt,
                extra={"run_id": claim.run_id, "job_id": claim.job_id, "attempt": claim.attempt},
            )
            self._listener.wake()

    def _claim(self) -> Claim | None:
        try:
            with self._database.transaction() as session:
                claim = runs.claim(session, self._current_offer(), self._settings.lease)
        except AWAY as error:
            if not self._is_away:
                log.warning(
                    "the database is unreachable, trying again every %g s: %s",
                    self._settings.poll_seconds,
                    error,
                )
            self._is_away = True
            return None
        self._is_away = False
        return claim

    def _current_offer(self) -> WorkerOffer:
        root = self._settings.datasets
        registered = folder_datasets.registration_file("any", root).parent.glob("*.json")
        datasets = frozenset({*DATASETS, *(folder_datasets.PREFIX + path.stem for path in registered)})
        return replace(self._offer, datasets=datasets, weights=self._weights())

    def _weights(self) -> frozenset[str]:
        try:
            return usable(self._settings.datasets)
        except DataError as error:
            log.warning("runs on pre-trained weights wait: %s", error)
            return frozenset()

    def _drain(self) -> None:
        self._remove_finished()
        log.info("stopping: releasing %d run(s)", len(self._running))
        for execution in self._running.values():
            execution.drain()
        patience = time.monotonic() + 3 * self._settings.grace_seconds + self._settings.poll_seconds
        for thread in self._running:
            thread.join(max(0.0, patience - time.monotonic()))
