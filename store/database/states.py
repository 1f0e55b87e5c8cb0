"""The states of a job, a run and an attempt, and the classes of failure: one sentence per value.

queued ──claim──► running ──► succeeded | failed | cancelled | dead
   ▲                 │
   └── lease lost ───┤
   └── drained ──────┘
"""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """The state of a run: queued, running under a lease, or one of four final ones."""

    queued = "queued"
    """Waits for a worker, possibly not before a given time."""
    running = "running"
    """A worker holds its lease."""
    succeeded = "succeeded"
    """Every task is learnt, tested and recorded."""
    failed = "failed"
    """It cannot succeed; the failure class and message say why."""
    cancelled = "cancelled"
    """No job wants it any more."""
    dead = "dead"
    """Given up after its last attempt; the evidence of every attempt is kept."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is final."""
        return self in TERMINAL


TERMINAL = (RunState.succeeded, RunState.failed, RunState.cancelled, RunState.dead)


class JobState(StrEnum):
    """The state of a job, which follows from the states of its runs."""

    queued = "queued"
    """All its runs wait for a worker."""
    running = "running"
    """A run is running or has ended, and not all have ended."""
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
    """It failed; the failure class decides whether the run is retried."""
    lost = "lost"
    """Its lease expired: the worker is dead, stalled or disconnected."""
    released = "released"
    """Its worker returned the run; the attempt is not charged."""
    cancelled = "cancelled"
    """It was stopped on request."""


class FailureClass(StrEnum):
    """Why an attempt failed; the class decides whether the run is retried."""

    invalid_spec = "invalid_spec"
    """The spec cannot be run; never retried."""
    invalid_data = "invalid_data"
    """The dataset is damaged, has too few images or differs from the registered one; never retried."""
    out_of_memory = "out_of_memory"
    """The device or host ran out of memory; never retried. The message names it and the peak."""
    diverged = "diverged"
    """A loss became NaN or infinite; never retried, since it would diverge again."""
    infrastructure = "infrastructure"
    """A lease, a host or a device was lost; retried after a back-off, from the last finished task."""
    hung = "hung"
    """No progress for too long; retried once."""
    cancelled = "cancelled"
    """Stopped on request."""
    timed_out = "timed_out"
    """Longer than the time limit; never retried."""
    internal = "internal"
    """A bug of this software; never retried, the end of the traceback is kept."""
    method_error = "method_error"
    """The file of a submitted method raised or crashed; never retried."""
    rule_broken = "rule_broken"
    """A method broke a rule, such as its memory budget, or its results leak; never retried."""
