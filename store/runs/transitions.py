"""The two ways out of a state, and the fence before them.

After its claim, only this module changes a run's state.

Decisions:
    * The UPDATE itself carries the guard `WHERE id, attempt, state`: it changes the intended row or none. The
      database's triggers refuse everything else.
    * A queued run keeps the reason for which its last attempt ended, so that users see why it waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.errors import LeaseLost
from store.database.json_type import sanitised
from store.database.models import Attempt, Run
from store.database.states import AttemptOutcome, FailureClass, RunState
from store.runs.events import append
from store.runs.job_state import lock_jobs, update_job_states


@dataclass(frozen=True, slots=True)
class AttemptEnding:
    """How an attempt ended, and why."""

    outcome: AttemptOutcome
    failure: FailureClass | None = None
    message: str | None = None
    evidence: dict[str, Any] | None = None

    @property
    def reason(self) -> dict[str, Any]:
        """The columns that store it, the same on a run and on an attempt."""
        return {"failure": self.failure, "message": sanitised(self.message), "evidence": self.evidence}


class Holder(Protocol):
    """An attempt that claims to hold a run."""

    @property
    def run_id(self) -> str:
        """The run."""

    @property
    def attempt(self) -> int:
        """The fencing token."""


def holding(holder: Holder) -> tuple[ColumnElement[bool], ...]:
    """The fence, as conditions of a statement."""
    return (Run.id == holder.run_id, Run.attempt == holder.attempt, is_in(Run.state, RunState.running))


def held(session: Session, holder: Holder) -> Run:
    """The run, locked until the transaction ends.

    Raises:
        LeaseLost: this attempt no longer holds it.
    """
    query = select(Run).where(*holding(holder)).with_for_update()
    run = session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if run is None:
        raise LeaseLost(
            f"attempt {holder.attempt} no longer holds {holder.run_id}:"
            " its lease expired and another process took the run back, or the run has ended"
        )
    return run


def end(session: Session, run: Run, state: RunState, ending: AttemptEnding, **values: Any) -> RunState:
    """End a locked run in a terminal state, end its attempt, and update the jobs that want it."""
    _close_attempt(session, run, ending)
    _change(
        session,
        run,
        state=state,
        finished_at=now(),
        lease_until=None,
        worker_id=None,
        **ending.reason,
        **values,
    )
    jobs = lock_jobs(session, [run.id])
    append(
        session,
        jobs,
        f"run_{state}",
        {"attempt": run.attempt, "failure": ending.failure, "message": ending.message},
        run.id,
    )
    update_job_states(session, jobs)
    return state


def requeue(session: Session, run: Run, ending: AttemptEnding, delay: timedelta) -> RunState:
    """Return a locked, running run to its queue; a released attempt is not charged."""
    released = ending.outcome is AttemptOutcome.released
    _close_attempt(session, run, ending)
    charged = run.charged - 1 if released else run.charged
    _change(
        session,
        run,
        state=RunState.queued,
        not_before=now(delay),
        lease_until=None,
        worker_id=None,
        charged=charged,
        **ending.reason,
    )
    payload = {
        "attempt": run.attempt,
        "failure": ending.failure,
        "message": ending.message,
        "delay_seconds": delay.total_seconds(),
    }
    jobs = lock_jobs(session, [run.id])
    append(session, jobs, "run_released" if released else "run_requeued", payload, run.id)
    update_job_states(session, jobs)
    return RunState.queued


def _change(session: Session, run: Run, **values: Any) -> None:
    guarded = (
        update(Run)
        .where(Run.id == run.id, Run.attempt == run.attempt, Run.state == run.state)
        .values(**values)
        .returning(Run)
    )
    changed = session.scalars(
        guarded, execution_options={"synchronize_session": False, "populate_existing": True}
    ).one_or_none()
    if changed is None:
        raise LeaseLost(f"attempt {run.attempt} no longer holds {run.id}, which was {run.state}")


def _close_attempt(session: Session, run: Run, ending: AttemptEnding) -> None:
    if run.state is RunState.running:
        current = update(Attempt).where(Attempt.run_id == run.id, Attempt.number == run.attempt)
        session.execute(
            current.values(ended_at=now(), outcome=ending.outcome, **ending.reason),
            execution_options={"synchronize_session": False},
        )
