"""`Execution`: one claimed run, from the start of its child to its outcome in the database.

    child ──reports──► take ──► event writer (one fenced transaction per event)
      ▲                 heartbeat: renew the lease of database and child, receive a cancellation
      └──stop, kill──── limits: draining, database outage, hung, out of time

Decisions:
    * The child's process group is dead before the outcome is written, and every run that ends has a reason.
    * The first reason to stop wins. With a grace period the child may stop at its next event; after it the
      child is killed.
    * A run that another worker has taken is left alone: the database rejects the writes of this attempt.
    * A database outage costs no attempt: the child is stopped before the lease can end, and the run is
      released afterwards.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from dataclasses import dataclass
from functools import partial

from pydantic import JsonValue
from structlog.contextvars import bind_contextvars, clear_contextvars

from cil_core.spec.events import EpochFinished
from store import runs
from store.database.errors import LeaseLost
from store.database.session import Database
from store.database.states import FailureClass
from store.runs import Claim
from workers.parent.event_writer import EventWriter, Write
from workers.parent.process import ChildProcess
from workers.parent.settings import WorkerSettings
from workers.protocol import Assignment, Environment, Failed, Finished, Progress, Ready, Report, Stopped

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_TRACEBACK_LINES = 50
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Placement:
    """The device and the threads of a worker's children.

    Attributes:
        device: `cpu` or `cuda:N`.
        threads: CPU threads per child.
    """

    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class _Stop:
    """A decision to stop the child.

    Attributes:
        outcome: of the run.
        kill_at: monotonic time at which the child is killed.
        child_may_finish: whether a run that finishes or fails before it stops is recorded as such.
    """

    outcome: Write
    kill_at: float
    child_may_finish: bool


class Execution:
    """One attempt at one run; `run` is the target of a thread.

    Args:
        claim: the lease of this worker on the run.
        database: the source of truth.
        settings: intervals and limits.
        placement: device and threads.
        claimed_at: monotonic time before the claim was sent.
    """

    def __init__(
        self,
        claim: Claim,
        database: Database,
        settings: WorkerSettings,
        placement: Placement,
        claimed_at: float,
    ) -> None:
        self.claim = claim
        self._settings, self._placement = settings, placement
        self._writer = EventWriter(database, claim, settings, claimed_at)
        self._draining = threading.Event()
        self._stop: _Stop | None = None
        self._environment: Environment = {}
        self._started = self._last_report = self._next_beat = claimed_at
        self._epoch_recorded = float("-inf")

    def drain(self) -> None:
        """Release the run at its next event, with no attempt charged; safe from another thread."""
        self._draining.set()

    def run(self) -> None:
        """Execute the attempt.

        Returns when the child is dead and the outcome is written, or another attempt holds the run.
        """
        bind_contextvars(run_id=self.claim.run_id, job_id=self.claim.job_id, attempt=self.claim.attempt)
        try:
            try:
                self._write_outcome(self._attempt())
            except LeaseLost:
                raise
            except Exception as error:  # last resort: a bug here must not leave a run without a reason
                log.exception("%s: supervision failed", self.claim.run_id)
                lines = traceback.format_exc().splitlines()[-_TRACEBACK_LINES:]
                self._write_outcome(
                    self._failing(
                        FailureClass.internal, f"{type(error).__name__}: {error}", {"traceback": [*lines]}
                    )
                )
        except LeaseLost as lost:
            log.warning("%s; stopped", lost)
        finally:
            clear_contextvars()

    def _attempt(self) -> Write:
        try:
            child = ChildProcess(self._assignment())
        except (OSError, EOFError) as error:
            return self._failing(FailureClass.infrastructure, f"cannot start a process for the run: {error}")
        try:
            return self._supervise(child)
        finally:
            child.close()

    def _assignment(self) -> Assignment:
        folder = self._settings.checkpoints / self.claim.run_id
        return Assignment(
            spec=self.claim.spec,
            device=self._placement.device,
            threads=self._placement.threads,
            memory_bytes=self._settings.memory_bytes,
            lease_seconds=self._writer.lease_left,
            data_root=self._settings.datasets,
            directory=folder / f"attempt-{self.claim.attempt}",
            earlier=tuple(folder / f"attempt-{number}" for number in self.claim.previous_attempts),
            first_tasks=self._settings.data_dir / "first-tasks" if self._settings.share_first_task else None,
            compiled=self._settings.data_dir / "compiled" if self._settings.compile_backbones else None,
        )

    def _supervise(self, child: ChildProcess) -> Write:
        while True:
            ended = child.ended  # read first: everything a dead child reported is in its pipe
            for report in child.read(min(_TICK_SECONDS, self._next_beat - time.monotonic())):
                outcome = self._take(report, child)
                if outcome is not None:
                    return outcome
            if ended:
                return self._stop.outcome if self._stop else self._died(child)
            self._renew(child)
            self._enforce_memory(child)
            self._enforce_limits(child)

    def _take(self, report: Report, child: ChildProcess) -> Write | None:
        """Process a report; returns the outcome if it is the last one."""
        self._last_report = time.monotonic()
        match report:
            case Ready(environment=environment):
                self._environment = environment
                return None
            case Progress():
                self._record(report)
                return None
            case _ if self._stop and not (
                self._stop.child_may_finish and isinstance(report, (Finished, Failed))
            ):
                return self._stop.outcome
            case Finished(event=event, environment=environment):
                return partial(runs.finish, claim=self.claim, event=event, environment=environment)
            case Failed(failure=failure, message=message, evidence=evidence):
                return self._failing(FailureClass(failure), message, {**child.evidence(), **evidence})
            case Stopped():
                return self._failing(
                    FailureClass.infrastructure,
                    "run process received a SIGTERM that its worker did not send",
                    child.evidence(),
                )

    def _record(self, progress: Progress) -> None:
        if isinstance(progress.event, EpochFinished):
            if self._last_report - self._epoch_recorded < self._settings.progress_seconds:
                return
            self._epoch_recorded = self._last_report
        self._writer.record(progress.event, progress.seconds)

    def _renew(self, child: ChildProcess) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + self._settings.heartbeat_seconds
        cancel_requested = self._writer.heartbeat()
        child.renew(self._writer.lease_left)
        if cancel_requested:
            self._stop_for(self._failing(FailureClass.cancelled, "cancelled on request"))

    def _enforce_memory(self, child: ChildProcess) -> None:
        """RLIMIT_DATA refuses private memory; what a process shares with itself is counted here."""
        limit, held = self._settings.memory_bytes, child.held_bytes
        if limit is not None and held > limit:
            message = (
                f"out of memory on the host, running on {self._placement.device}: the process held "
                f"{held / _GIB:.1f} GiB of {limit / _GIB:.1f} GiB"
            )
            self._stop_for(self._failing(FailureClass.out_of_memory, message, child.evidence()))

    def _enforce_limits(self, child: ChildProcess) -> None:
        settings, now = self._settings, time.monotonic()
        if self._draining.is_set():
            self._release("its worker was shut down")
        elif self._writer.lease_left <= settings.grace_seconds + settings.heartbeat_seconds:
            self._release("the database was unreachable for the length of the lease")
        elif now - self._last_report > settings.hung_minutes * 60:
            self._stop_for(
                self._failing(
                    FailureClass.hung, f"no event for {settings.hung_minutes:g} minutes", child.evidence()
                )
            )
        elif now - self._started > settings.run_hours * 3600:
            self._stop_for(
                self._failing(
                    FailureClass.timed_out,
                    f"the attempt exceeded the limit of {settings.run_hours:g} hours",
                    child.evidence(),
                )
            )
        if self._stop is None:
            return
        if now >= self._stop.kill_at:
            child.kill()
        else:
            child.request_stop()

    def _release(self, reason: str) -> None:
        self._stop_for(
            partial(runs.release, claim=self.claim, reason=reason),
            self._settings.grace_seconds,
            child_may_finish=True,
        )

    def _stop_for(self, outcome: Write, grace: float = 0, *, child_may_finish: bool = False) -> None:
        if self._stop is None:
            self._stop = _Stop(outcome, time.monotonic() + grace, child_may_finish)

    def _died(self, child: ChildProcess) -> Write:
        evidence = child.evidence()
        how = evidence["exit_signal"] or f"exit code {evidence['exit_code']}"
        hint = " (likely the kernel's OOM killer)" if how == "SIGKILL" else ""
        return self._failing(FailureClass.infrastructure, f"run process exited with {how}{hint}", evidence)

    def _failing(
        self, failure: FailureClass, message: str, evidence: dict[str, JsonValue] | None = None
    ) -> Write:
        known: dict[str, JsonValue] = {"environment": self._environment, **(evidence or {})}
        return partial(
            runs.fail,
            claim=self.claim,
            failure=failure,
            message=message,
            evidence=known,
            policy=self._settings.retry,
        )

    def _write_outcome(self, outcome: Write) -> None:
        """Write the outcome, however long an outage lasts.

        A draining worker leaves it to the reaper after the grace period.
        """
        abandon_at = float("inf")
        while not self._writer.finish(outcome):
            if self._draining.is_set():
                abandon_at = min(abandon_at, time.monotonic() + self._settings.grace_seconds)
            if time.monotonic() >= abandon_at:
                log.error("%s: cannot write its outcome; the lease will expire", self.claim.run_id)
                return
            time.sleep(self._settings.poll_seconds)
