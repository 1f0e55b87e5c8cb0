"""The states of a job, a run and an attempt, and the classes of failure: a sentence a value.

queued ──claim──► running ──► succeeded | failed | cancelled | dead
   ▲                 │
   └── lease lost ───┤
   └── drained ──────┘
"""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands. It is always queued, running under a lease, or in one of the four terminal states, which are final."""

    queued = "queued"
    """Waits for a worker; perhaps not before a given time."""
    running = "running"
    """A worker holds a lease on it."""
    succeeded = "succeeded"
    """Every task is learnt, tested and recorded."""
    failed = "failed"
    """It cannot succeed; the failure class and message say why."""
    cancelled = "cancelled"
    """Nobody wants it any more."""
    dead = "dead"
    """It was given up after its last attempt; the evidence of every attempt is kept."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is final."""
        return self in TERMINAL


TERMINAL = (RunState.succeeded, RunState.failed, RunState.cancelled, RunState.dead)


class JobState(StrEnum):
    """Where a job stands: the sum of its runs."""

    queued = "queued"
    """All its runs wait for a worker."""
    running = "running"
    """Some run is running or has ended, and not all have ended."""
    succeeded = "succeeded"
    """All runs succeeded."""
    failed = "failed"
    """All runs have ended, and at least one failed or is dead."""
    cancelled = "cancelled"
    """All runs have ended, none failed, and at least one was cancelled."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is final."""
        return self in JOB_TERMINAL


JOB_TERMINAL = (JobState.succeeded, JobState.failed, JobState.cancelled)


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    running = "running"
    """It has not ended."""
    succeeded = "succeeded"
    """The run finished in it."""
    failed = "failed"
    """It failed; the failure class says whether the run is tried again."""
    lost = "lost"
    """Its lease ran out: the worker is dead, stalled or cut off."""
    released = "released"
    """Its worker gave the run back; it is not charged."""
    cancelled = "cancelled"
    """It was stopped on request."""


class FailureClass(StrEnum):
    """Why an attempt failed; the class decides whether the run is tried again."""

    invalid_spec = "invalid_spec"
    """The spec cannot be run; never retried."""
    invalid_data = "invalid_data"
    """The dataset is damaged, has too few images or differs from the registered one; never retried."""
    out_of_memory = "out_of_memory"
    """The device or the host had too little memory; never retried, the message says which and the peak."""
    diverged = "diverged"
    """A loss became NaN or infinite; never retried, for it would again."""
    infrastructure = "infrastructure"
    """A lease, a host or a device was lost; retried after a back-off, resuming from the last finished task."""
    hung = "hung"
    """No progress for too long; retried once."""
    cancelled = "cancelled"
    """Stopped on request."""
    timed_out = "timed_out"
    """Longer than the time limit; never retried."""
    internal = "internal"
    """A bug of this software; never retried, the end of the traceback is kept."""
