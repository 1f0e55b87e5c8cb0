"""The workers, the runs they hold, and when each last reported.

Decisions:
    * The list is for people. Whether a run is lost is decided by its lease alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.errors import NotFound
from store.database.models import Run, Worker
from store.database.states import RunState
from store.database.upsert import insert_if_absent
from store.runs.claims import WorkerOffer

SHOWN_FOR = timedelta(hours=1)
"""How long a silent worker stays in the list."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A run that a worker holds.

    Attributes:
        run_id: the run.
        attempt: the current attempt.
        method: of the run.
        track_slug: of the run.
        seed: of the run.
        until: when the lease ends unless it is renewed.
        seconds_left: until then, by the database's clock; negative if it has expired.
        cancel_requested: whether the worker should cancel it.
    """

    run_id: str
    attempt: int
    method: str
    track_slug: str
    seed: int
    until: datetime
    seconds_left: float
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as others see it.

    Attributes:
        offer: what it can run.
        info: host, versions and slots, as the worker reports them.
        registered_at: when it started.
        seen_at: when it last reported.
        silent_seconds: since then, by the database's clock.
        stopped_at: when it stopped; None if it did not say so.
        leases: the runs it holds.
    """

    offer: WorkerOffer
    info: dict[str, Any]
    registered_at: datetime
    seen_at: datetime
    silent_seconds: float
    stopped_at: datetime | None
    leases: tuple[Lease, ...]


def register_worker(session: Session, offer: WorkerOffer, info: dict[str, Any]) -> None:
    """Register a worker, possibly again."""
    values = {
        "queue": offer.queue,
        "device": offer.device,
        "datasets": None if offer.datasets is None else sorted(offer.datasets),
        "info": info,
    }
    if not insert_if_absent(session, Worker, id=offer.id, **values):
        session.execute(
            update(Worker)
            .where(Worker.id == offer.id)
            .values(**values, registered_at=now(), seen_at=now(), stopped_at=None)
        )


def worker_heartbeat(session: Session, worker_id: str) -> None:
    """Record that a worker is alive.

    Raises:
        NotFound: it is not registered.
    """
    _touch(session, worker_id, stopped_at=None)


def worker_stopped(session: Session, worker_id: str) -> None:
    """Record that a worker stopped.

    Raises:
        NotFound: it is not registered.
    """
    _touch(session, worker_id, stopped_at=now())


def list_workers(session: Session) -> list[WorkerStatus]:
    """The workers that reported within the last hour or hold a lease, the latest first."""
    present = session.scalars(select(now())).one()
    leases = _leases(session, present)
    query = (
        select(Worker)
        .where(or_(Worker.seen_at > present - SHOWN_FOR, Worker.id.in_(sorted(leases))))
        .order_by(Worker.registered_at.desc(), Worker.id)
    )
    return [_status(worker, tuple(leases.get(worker.id, ())), present) for worker in session.scalars(query)]


def _touch(session: Session, worker_id: str, stopped_at: Any) -> None:
    touched = (
        update(Worker)
        .where(Worker.id == worker_id)
        .values(seen_at=now(), stopped_at=stopped_at)
        .returning(Worker.id)
    )
    if session.execute(touched, execution_options={"synchronize_session": False}).first() is None:
        raise NotFound(f"unknown worker {worker_id!r}; a worker registers before its first heartbeat")


def _leases(session: Session, present: datetime) -> dict[str, list[Lease]]:
    leases: defaultdict[str, list[Lease]] = defaultdict(list)
    for run in session.scalars(
        select(Run).where(is_in(Run.state, RunState.running)).order_by(Run.lease_until)
    ):
        if run.worker_id is not None and run.lease_until is not None:
            left = (run.lease_until - present).total_seconds()
            leases[run.worker_id].append(
                Lease(
                    run.id,
                    run.attempt,
                    run.method,
                    run.track_slug,
                    run.seed,
                    run.lease_until,
                    left,
                    run.cancel_requested,
                )
            )
    return leases


def _status(worker: Worker, leases: tuple[Lease, ...], present: datetime) -> WorkerStatus:
    offer = WorkerOffer(
        worker.id,
        worker.queue,
        worker.device,
        None if worker.datasets is None else frozenset(worker.datasets),
    )
    silent = (present - worker.seen_at).total_seconds()
    return WorkerStatus(
        offer, worker.info, worker.registered_at, worker.seen_at, silent, worker.stopped_at, leases
    )
