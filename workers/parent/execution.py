"""`Execution`: one claimed run from its child's start to its end in the database.

    child ──reports──► take ──► writer (events, one fenced transaction each)
      ▲                 beat: renew the lease, tell the child, hear of a cancellation
      └──stop, kill──── limits: draining, database away, hung, out of time

Decisions:
    * Whatever happens, the child's process group is dead before the run is given up, and the run then has a reason.
    * The first reason to stop wins. One with a grace asks the child to stop at its next event, and kills it when the grace is over.
    * A run that is lost to another worker is left alone: the database refuses this one's writes.
    * A database that stays away costs no attempt: the child is stopped before the lease can end, and the run is given back afterwards.
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


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the children of a worker run.

    Attributes:
        device: `cpu` or `cuda:N`.
        threads: CPU threads of each.
    """

    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class _Stop:
    """Why the child is being stopped: how the run ends then, and the monotonic time at which it is killed."""

    ending: Write
    kill_at: float
    child_may_end_it: bool
    """Whether a run that finishes or fails by itself meanwhile is recorded as such."""


class Execution:
    """One attempt at one run; `run` is the whole of a thread.

    Args:
        claim: what this worker holds.
        database: where it is recorded.
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
        """Have the run given back at its next event, with no attempt charged; safe from another thread."""
        self._draining.set()

    def run(self) -> None:
        """Carry the attempt out; returns when the child is dead and the run's end is written, or is somebody else's to write."""
        bind_contextvars(run_id=self.claim.run_id, job_id=self.claim.job_id, attempt=self.claim.attempt)
        try:
            try:
                self._settle(self._attempt())
            except LeaseLost:
                raise
            except (
                Exception
            ) as error:  # the last resort: no run may stay without a reason, whatever bug is met here
                log.exception("%s: its supervision failed", self.claim.run_id)
                lines = traceback.format_exc().splitlines()[-_TRACEBACK_LINES:]
                self._settle(
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
            return self._failing(
                FailureClass.infrastructure, f"no process could be started for the run: {error}"
            )
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
            ended = child.ended  # asked before reading: whatever a dead child said is in its pipe
            for report in child.read(min(_TICK_SECONDS, self._next_beat - time.monotonic())):
                ending = self._take(report, child)
                if ending is not None:
                    return ending
            if ended:
                return self._stop.ending if self._stop else self._died(child)
            self._beat(child)
            self._enforce_limits(child)

    def _take(self, report: Report, child: ChildProcess) -> Write | None:
        """Note a report; the run's ending if it is the last one."""
        self._last_report = time.monotonic()
        match report:
            case Ready(environment=environment):
                self._environment = environment
                return None
            case Progress():
                self._record(report)
                return None
            case _ if self._stop and not (
                self._stop.child_may_end_it and isinstance(report, (Finished, Failed))
            ):
                return self._stop.ending
            case Finished(event=event, environment=environment):
                return partial(runs.finish, claim=self.claim, event=event, environment=environment)
            case Failed(failure=failure, message=message, evidence=evidence):
                return self._failing(FailureClass(failure), message, {**child.evidence(), **evidence})
            case Stopped():
                return self._failing(
                    FailureClass.infrastructure,
                    "the run was asked to stop by a signal that its worker did not send",
                    child.evidence(),
                )

    def _record(self, progress: Progress) -> None:
        if isinstance(progress.event, EpochFinished):
            if self._last_report - self._epoch_recorded < self._settings.progress_seconds:
                return
            self._epoch_recorded = self._last_report
        self._writer.record(progress.event, progress.seconds)

    def _beat(self, child: ChildProcess) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + self._settings.heartbeat_seconds
        cancel_requested = self._writer.beat()
        child.renew(self._writer.lease_left)
        if cancel_requested:
            self._stop_for(self._failing(FailureClass.cancelled, "cancelled on request"))

    def _enforce_limits(self, child: ChildProcess) -> None:
        settings, now = self._settings, time.monotonic()
        if self._draining.is_set():
            self._give_back("its worker was shut down")
        elif self._writer.lease_left <= settings.grace_seconds + settings.heartbeat_seconds:
            self._give_back("the database was away for as long as the lease")
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
                    f"the attempt took longer than the limit of {settings.run_hours:g} hours",
                    child.evidence(),
                )
            )
        if self._stop is None:
            return
        if now >= self._stop.kill_at:
            child.kill()
        else:
            child.request_stop()

    def _give_back(self, reason: str) -> None:
        self._stop_for(
            partial(runs.release, claim=self.claim, reason=reason),
            self._settings.grace_seconds,
            child_may_end_it=True,
        )

    def _stop_for(self, ending: Write, grace: float = 0, *, child_may_end_it: bool = False) -> None:
        if self._stop is None:
            self._stop = _Stop(ending, time.monotonic() + grace, child_may_end_it)

    def _died(self, child: ChildProcess) -> Write:
        evidence = child.evidence()
        how = evidence["exit_signal"] or f"exit code {evidence['exit_code']}"
        hint = "; when nobody sent it, the kernel was short of memory" if how == "SIGKILL" else ""
        return self._failing(
            FailureClass.infrastructure, f"the run's process died without a word: {how}{hint}", evidence
        )

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

    def _settle(self, ending: Write) -> None:
        """Write the ending, however long the database stays away; a worker that drains leaves it to the reaper after its grace."""
        abandon_at = float("inf")
        while not self._writer.settle(ending):
            if self._draining.is_set():
                abandon_at = min(abandon_at, time.monotonic() + self._settings.grace_seconds)
            if time.monotonic() >= abandon_at:
                log.error("%s: its end could not be written; the lease will run out", self.claim.run_id)
                return
            time.sleep(self._settings.poll_seconds)
