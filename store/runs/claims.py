"""Claiming a run and keeping it: the lease, and the fence that every later write passes.

Decisions:
    * The claim increments the number of the attempt, which is the fencing token: a write by an older attempt
      matches no row.
    * An attempt is charged when it begins, so that a run that kills its worker is not retried forever.
    * An expired lease that was not reaped can still be renewed, since no other attempt has begun.
    * A run whose spec this version cannot read would stop every worker in turn; it fails as `invalid_spec`
      instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import Session

from cil_core.spec.jobs import RunSpec
from store.database.base import is_in
from store.database.clock import now
from store.database.models import Attempt, Run, TrackRow
from store.database.states import AttemptOutcome, FailureClass, RunState
from store.runs.events import append
from store.runs.job_state import lock_jobs, update_job_states
from store.runs.transitions import AttemptEnding, end, holding
from store.runs.turns import next_owner


@dataclass(frozen=True, slots=True)
class WorkerOffer:
    """What a worker can run.

    Attributes:
        id: the worker's name, unique among all workers past and present.
        queue: the queue it serves.
        device: its device, `cpu` or `cuda:N`.
        datasets: the available ones; None if it has or can download any.
        weights: keys of the published weights that it has, with their library; None if it has any.
    """

    id: str
    queue: str
    device: str
    datasets: frozenset[str] | None = None
    weights: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A run held by a worker.

    Attributes:
        run_id: the run.
        job_id: the oldest job that wants it.
        attempt: the number of this attempt: the fencing token.
        spec: what to run.
        previous_attempts: numbers of the earlier attempts, whose checkpoints may exist.
        dataset_fingerprint: of the registered data that the run needs; None for a built-in dataset.
    """

    run_id: str
    job_id: str
    attempt: int
    spec: RunSpec
    previous_attempts: tuple[int, ...]
    dataset_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Whether the attempt still holds its run, and whether to cancel it."""

    held: bool
    cancel_requested: bool


def claim(session: Session, worker: WorkerOffer, lease: timedelta) -> Claim | None:
    """Take a queued run that this worker can run.

    The owner whose turn it is goes first (`turns`), then the highest priority, then the oldest run.

    Returns:
        The claim; None if no such run is queued.
    """
    while (run := _take(session, worker, lease)) is not None:
        session.add(Attempt(run_id=run.id, number=run.attempt, worker_id=worker.id, device=worker.device))
        session.flush()
        jobs = lock_jobs(session, [run.id])
        append(
            session,
            jobs,
            "run_claimed",
            {"attempt": run.attempt, "worker": worker.id, "device": worker.device},
            run.id,
        )
        update_job_states(session, jobs)
        try:
            spec = spec_of(run, session.get_one(TrackRow, run.track_slug))
        except ValidationError as error:
            reason = f"this version of the software cannot read the run's spec: {error}"
            end(
                session,
                run,
                RunState.failed,
                AttemptEnding(AttemptOutcome.failed, FailureClass.invalid_spec, reason),
            )
            continue
        return Claim(
            run.id, jobs[0], run.attempt, spec, tuple(range(1, run.attempt)), run.dataset_fingerprint
        )
    return None


def heartbeat(session: Session, claim: Claim, lease: timedelta) -> Heartbeat:
    """Renew the lease if this attempt still holds the run."""
    renewed = (
        update(Run).where(*holding(claim)).values(lease_until=now(lease)).returning(Run.cancel_requested)
    )
    cancel_requested = session.scalars(
        renewed, execution_options={"synchronize_session": False}
    ).one_or_none()
    return Heartbeat(held=cancel_requested is not None, cancel_requested=bool(cancel_requested))


def spec_of(run: Run, track: TrackRow) -> RunSpec:
    """The spec that a run executes.

    Raises:
        pydantic.ValidationError: another version of the software wrote it, and this one cannot read it.
    """
    return RunSpec.model_validate({"method": run.recipe, "track": track.spec, "seed": run.seed})


def _tracks_for(weights: frozenset[str]) -> Select[str]:
    """Slugs of the tracks that start from random weights or from some of these."""
    name = TrackRow.spec["pretrained"].as_string()
    key = TrackRow.backbone + "-" + name
    return select(TrackRow.slug).where(or_(name.is_(None), key.in_(sorted(weights))))


def _take(session: Session, worker: WorkerOffer, lease: timedelta) -> Run | None:
    """The first run of the owner whose turn it is; of any owner if other workers are taking all of those."""
    turn = Run.owner == next_owner(worker.queue, partial(_offered, worker=worker))
    return _take_first(session, worker, lease, turn) or _take_first(session, worker, lease)


def _offered(run: type[Run], worker: WorkerOffer) -> list[ColumnElement[bool]]:
    """The conditions under which this worker can take a run."""
    ready = func.coalesce(run.not_before, run.created_at)  # no column: the index of turns serves, not its own
    offered = [is_in(run.state, RunState.queued), run.queue == worker.queue, ready <= now()]
    if worker.datasets is not None:
        offered.append(run.dataset.in_(sorted(worker.datasets)))
    if worker.weights is not None:
        offered.append(run.track_slug.in_(_tracks_for(worker.weights)))
    return offered


def _take_first(
    session: Session, worker: WorkerOffer, lease: timedelta, *turn: ColumnElement[bool]
) -> Run | None:
    first = (
        select(Run.id)
        .where(*_offered(Run, worker), *turn)
        .order_by(Run.priority.desc(), Run.created_at, Run.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(Run)
        .where(Run.id == first.scalar_subquery(), is_in(Run.state, RunState.queued))
        .values(
            state=RunState.running,
            attempt=Run.attempt + 1,
            charged=Run.charged + 1,
            worker_id=worker.id,
            lease_until=now(lease),
            started_at=func.coalesce(Run.started_at, now()),
        )
        .returning(Run)
    )
    return session.scalars(
        taken, execution_options={"synchronize_session": False, "populate_existing": True}
    ).one_or_none()
