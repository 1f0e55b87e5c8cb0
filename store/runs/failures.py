"""How an attempt ends without a result: it fails, gives its run back, or falls silent.

Decisions:
    * The failure class decides. Infrastructure may do better elsewhere: retried after a back-off, as often as the policy allows. A hang is retried
      once. Everything else would fail the same way again.
    * Whoever asked for the cancellation gets it: a run that would be tried again is cancelled instead when nobody wants it any more.
    * `reap` may be called by anybody, at any time, in any number: it skips what another is reaping.
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
from store.runs.transitions import Ending, end, held, requeue

RETRIED = frozenset({FailureClass.infrastructure, FailureClass.hung})
_BATCH = 100


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a run is tried again.

    Attributes:
        max_attempts: charged attempts after which it is dead.
        back_off: wait after the first loss; each later one waits four times as long.
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
    """What a reaper did, by run id, and which queues it found waiting.

    Attributes:
        requeued: lost runs that will be tried again.
        dead: lost runs that were given up.
        cancelled: lost runs that nobody wants any more.
        unclaimed: queues in which a run has been ready for a while: their doorbell shall be rung again.
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
        The state of the run now: queued if it will be tried again, else failed, dead or cancelled.

    Raises:
        LeaseLost: if this attempt holds the run no longer.
        ValueError: if it says it was cancelled and nobody asked for that.
    """
    run = held(session, claim)
    if failure in RETRIED:
        return _try_again(session, run, Ending(AttemptOutcome.failed, failure, message, evidence), policy)
    if failure is not FailureClass.cancelled:
        return end(session, run, RunState.failed, Ending(AttemptOutcome.failed, failure, message, evidence))
    if not run.cancel_requested:
        raise ValueError(
            f"nobody asked to cancel {run.id}; a worker that stops for its own reasons releases its run"
        )
    return end(session, run, RunState.cancelled, Ending(AttemptOutcome.cancelled, failure, message, evidence))


def release(session: Session, claim: Claim, reason: str) -> RunState:
    """Give a run back, because its worker stops: no attempt is charged.

    Returns:
        The state of the run now: queued, or cancelled if that was asked for.

    Raises:
        LeaseLost: if this attempt holds the run no longer.
    """
    run = held(session, claim)
    if run.cancel_requested:
        return end(
            session, run, RunState.cancelled, Ending(AttemptOutcome.cancelled, FailureClass.cancelled, reason)
        )
    return requeue(session, run, Ending(AttemptOutcome.released, message=reason), timedelta())


def reap(
    session: Session, policy: RetryPolicy = DEFAULT_POLICY, unclaimed_for: timedelta = timedelta(seconds=10)
) -> Reaped:
    """Take back the runs whose lease ran out, and say where work waits unclaimed."""
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
        tuple(run_id for run_id, now_is in ended.items() if now_is is state)
        for state in (RunState.queued, RunState.dead, RunState.cancelled)
    )
    return Reaped(requeued, dead, cancelled, unclaimed_queues(session, unclaimed_for))


def _lost(session: Session, run: Run, policy: RetryPolicy) -> RunState:
    message = f"the lease of worker {run.worker_id} ran out at {run.lease_until:%Y-%m-%d %H:%M:%S} UTC; it is dead, stalled or cut off"
    evidence = {
        "worker": run.worker_id,
        "lease_until": run.lease_until.isoformat() if run.lease_until else None,
    }
    return _try_again(
        session, run, Ending(AttemptOutcome.lost, FailureClass.infrastructure, message, evidence), policy
    )


def _try_again(session: Session, run: Run, ending: Ending, policy: RetryPolicy) -> RunState:
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
