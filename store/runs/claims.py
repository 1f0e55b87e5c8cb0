"""Claiming a run and keeping it: the lease, and the fence every later write passes.

Decisions:
    * The number of the attempt, raised by the claim, is the fencing token: a write by an older attempt finds no row.
    * An attempt is charged when it begins, so that a run that kills its worker without a word cannot be tried for ever.
    * A lease that ran out but was not reaped can still be renewed: nobody else has begun.
    * A run whose spec this software cannot read would stop every worker in turn; it fails as `invalid_spec` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from cil_core.spec.jobs import RunSpec
from store.database.base import is_in
from store.database.clock import now
from store.database.models import Attempt, Run, Track
from store.database.states import AttemptOutcome, FailureClass, RunState
from store.runs.events import append
from store.runs.job_state import lock_jobs, settle
from store.runs.transitions import Ending, end, holding


@dataclass(frozen=True, slots=True)
class WorkerOffer:
    """What a worker can take.

    Attributes:
        id: the worker's name, unique among all that ever ran.
        queue: where it takes work from.
        device: what it runs on, `cpu` or `cuda:N`.
        datasets: those it has; None if it has or can get any.
    """

    id: str
    queue: str
    device: str
    datasets: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A run held by a worker.

    Attributes:
        run_id: the run.
        job_id: the oldest job that wants it.
        attempt: the number of this attempt: the fencing token.
        spec: what to run.
        previous_attempts: numbers of the attempts before, whose checkpoints may be there.
        dataset_fingerprint: of the registered data the run is about; None for a built-in dataset.
    """

    run_id: str
    job_id: str
    attempt: int
    spec: RunSpec
    previous_attempts: tuple[int, ...]
    dataset_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Whether the attempt still holds its run, and whether it shall stop."""

    held: bool
    cancel_requested: bool


def claim(session: Session, worker: WorkerOffer, lease: timedelta) -> Claim | None:
    """Take the queued run of highest priority, the oldest first, that this worker offers to run; None if there is none."""
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
        settle(session, jobs)
        try:
            spec = spec_of(run, session.get_one(Track, run.track_slug))
        except ValidationError as error:
            reason = f"this version of the software cannot read the run's spec: {error}"
            end(
                session,
                run,
                RunState.failed,
                Ending(AttemptOutcome.failed, FailureClass.invalid_spec, reason),
            )
            continue
        return Claim(
            run.id, jobs[0], run.attempt, spec, tuple(range(1, run.attempt)), run.dataset_fingerprint
        )
    return None


def heartbeat(session: Session, claim: Claim, lease: timedelta) -> Heartbeat:
    """Renew the lease, if this attempt still holds the run."""
    renewed = (
        update(Run).where(*holding(claim)).values(lease_until=now(lease)).returning(Run.cancel_requested)
    )
    cancel_requested = session.scalars(
        renewed, execution_options={"synchronize_session": False}
    ).one_or_none()
    return Heartbeat(held=cancel_requested is not None, cancel_requested=bool(cancel_requested))


def spec_of(run: Run, track: Track) -> RunSpec:
    """What a run executes.

    Raises:
        pydantic.ValidationError: if it was written by a version of the software whose specs this one cannot read.
    """
    return RunSpec.model_validate({"method": run.recipe, "track": track.spec, "seed": run.seed})


def _take(session: Session, worker: WorkerOffer, lease: timedelta) -> Run | None:
    offered = [is_in(Run.state, RunState.queued), Run.queue == worker.queue, Run.not_before <= now()]
    if worker.datasets is not None:
        offered.append(Run.dataset.in_(sorted(worker.datasets)))
    first = (
        select(Run.id)
        .where(*offered)
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
