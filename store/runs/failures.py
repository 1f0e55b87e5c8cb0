"""How an attempt ends without a result: it fails, its worker returns the run, or its lease expires.

Decisions:
    * The failure class decides. Infrastructure failures may not repeat elsewhere: they are retried after a
      back-off, as often as the policy allows. A hang is retried once. Everything else would fail the same way
      again.
    * A cancellation takes precedence: a run that would be retried is cancelled instead if no job wants it any
      more.
    * Any number of processes may call `reap` at any time: each skips the runs that another one is reaping.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.models import Attempt, Run
from store.database.states import AttemptOutcome, FailureClass, RunState
from store.queries.queues import unclaimed_queues
from store.runs.claims import Claim
from store.runs.job_state import lock_jobs
from store.runs.transitions import AttemptEnding, end, held, requeue

RETRIED = frozenset({FailureClass.infrastructure, FailureClass.hung})
_BATCH = 100


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a run is retried.

    Attributes:
        max_attempts: charged attempts after which it is dead.
        back_off: the wait after the first loss; each later one is four times as long.
        hangs: attempts that may hang before it is dead.
    """

    max_attempts: int = 3
    back_off: timedelta = timedelta(seconds=5)
    hangs: int = 2

    def delay(self, charged: int) -> timedelta:
        """The wait after the `charged`-th attempt, at most an hour."""
        return min(self.back_off * int(4 ** min(charged - 1, 10)), timedelta(hours=1))


DEFAULT_POLICY = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a reaper changed, by run id, and which queues have unclaimed runs.

    Attributes:
        requeued: lost runs that will be retried.
        dead: lost runs that were given up.
        cancelled: lost runs that no job wants any more.
        unclaimed: queues in which a run has been ready for a while: their workers need another wake-up.
    """

    requeued: tuple[str, ...]
    dead: tuple[str, ...]
    cancelled: tuple[str, ...]
    unclaimed: frozenset[str]


def fail(
    session: Session,
    claim: Claim,
    failure: FailureClass,
    message: str,
    evidence: dict[str, Any],
    *,
    policy: RetryPolicy = DEFAULT_POLICY,
) -> RunState:
    """End an attempt that failed.

    Returns:
        The new state of the run: queued if it will be retried, else failed, dead or cancelled.

    Raises:
        LeaseLost: this attempt no longer holds the run.
        ValueError: the failure class is `cancelled` without a request to cancel.
    """
    run = held(session, claim)
    if failure in RETRIED:
        return _retry(session, run, AttemptEnding(AttemptOutcome.failed, failure, message, evidence), policy)
    if failure is not FailureClass.cancelled:
        return end(
            session, run, RunState.failed, AttemptEnding(AttemptOutcome.failed, failure, message, evidence)
        )
    if not run.cancel_requested:
        raise ValueError(
            f"no cancellation of {run.id} was requested; a worker that stops releases its run instead"
        )
    return end(
        session, run, RunState.cancelled, AttemptEnding(AttemptOutcome.cancelled, failure, message, evidence)
    )


def release(session: Session, claim: Claim, reason: str) -> RunState:
    """Return a run because its worker stops: the attempt is not charged.

    Returns:
        The new state of the run: queued, or cancelled if that was requested.

    Raises:
        LeaseLost: this attempt no longer holds the run.
    """
    run = held(session, claim)
    if run.cancel_requested:
        return end(
            session,
            run,
            RunState.cancelled,
            AttemptEnding(AttemptOutcome.cancelled, FailureClass.cancelled, reason),
        )
    return requeue(session, run, AttemptEnding(AttemptOutcome.released, message=reason), timedelta())


def reap(
    session: Session, policy: RetryPolicy = DEFAULT_POLICY, unclaimed_for: timedelta = timedelta(seconds=10)
) -> Reaped:
    """Take back the runs whose lease expired, and report the queues with unclaimed runs."""
    expired = (
        select(Run)
        .where(is_in(Run.state, RunState.running), Run.lease_until < now())
        .order_by(Run.lease_until)
    )
    lost = session.scalars(
        expired.limit(_BATCH).with_for_update(skip_locked=True), execution_options={"populate_existing": True}
    ).all()
    lock_jobs(session, [run.id for run in lost])
    ended = {run.id: _lost(session, run, policy) for run in lost}
    requeued, dead, cancelled = (
        tuple(run_id for run_id, new_state in ended.items() if new_state is state)
        for state in (RunState.queued, RunState.dead, RunState.cancelled)
    )
    return Reaped(requeued, dead, cancelled, unclaimed_queues(session, unclaimed_for))


def _lost(session: Session, run: Run, policy: RetryPolicy) -> RunState:
    message = (
        f"the lease of worker {run.worker_id} expired at {run.lease_until:%Y-%m-%d %H:%M:%S} UTC:"
        " the worker is dead, stalled or disconnected"
    )
    evidence = {
        "worker": run.worker_id,
        "lease_until": run.lease_until.isoformat() if run.lease_until else None,
    }
    return _retry(
        session,
        run,
        AttemptEnding(AttemptOutcome.lost, FailureClass.infrastructure, message, evidence),
        policy,
    )


def _retry(session: Session, run: Run, ending: AttemptEnding, policy: RetryPolicy) -> RunState:
    if run.cancel_requested:
        return end(session, run, RunState.cancelled, replace(ending, outcome=AttemptOutcome.cancelled))
    too_many_hangs = ending.failure is FailureClass.hung and 1 + _hangs_before(session, run) >= policy.hangs
    if run.charged >= policy.max_attempts or too_many_hangs:
        return end(
            session,
            run,
            RunState.dead,
            replace(ending, message=f"given up after {run.charged} attempts: {ending.message}"),
        )
    return requeue(session, run, ending, policy.delay(run.charged))


def _hangs_before(session: Session, run: Run) -> int:
    return session.scalars(
        select(func.count()).where(Attempt.run_id == run.id, Attempt.failure == FailureClass.hung)
    ).one()
