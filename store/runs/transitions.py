"""The two ways out of a state, and the fence before them. Every change of a run's state after its claim is made here.

Decisions:
    * The UPDATE itself carries the guard `WHERE id, attempt, state`: it changes the row it was meant for, or nothing. The database's triggers
      refuse what would slip past.
    * What ended the last attempt stays readable on a queued run, so that nobody waits without a reason.
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
from store.runs.job_state import lock_jobs, settle


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, and why."""

    outcome: AttemptOutcome
    failure: FailureClass | None = None
    message: str | None = None
    evidence: dict[str, Any] | None = None

    @property
    def reason(self) -> dict[str, Any]:
        """The columns that keep it, the same on a run and on an attempt."""
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
        LeaseLost: if this attempt holds it no longer.
    """
    query = select(Run).where(*holding(holder)).with_for_update()
    run = session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if run is None:
        raise LeaseLost(
            f"attempt {holder.attempt} no longer holds {holder.run_id}: its lease ran out and was taken back, or the run has ended"
        )
    return run


def end(session: Session, run: Run, state: RunState, ending: Ending, **values: Any) -> RunState:
    """Bring a locked run to a terminal state, its attempt to an end, and the jobs that want it up to date."""
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
    settle(session, jobs)
    return state


def requeue(session: Session, run: Run, ending: Ending, delay: timedelta) -> RunState:
    """Bring a locked, running run back into its queue; an attempt that was given back is not charged."""
    given_back = ending.outcome is AttemptOutcome.released
    _close_attempt(session, run, ending)
    charged = run.charged - 1 if given_back else run.charged
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
    append(session, jobs, "run_released" if given_back else "run_requeued", payload, run.id)
    settle(session, jobs)
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


def _close_attempt(session: Session, run: Run, ending: Ending) -> None:
    if run.state is RunState.running:
        current = update(Attempt).where(Attempt.run_id == run.id, Attempt.number == run.attempt)
        session.execute(
            current.values(ended_at=now(), outcome=ending.outcome, **ending.reason),
            execution_options={"synchronize_session": False},
        )
