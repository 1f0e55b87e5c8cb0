"""The invariants after the last fault, and the figures of a chaotic time."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from store.database.models import Attempt, Event, Job, Run, TaskResult
from store.database.states import TERMINAL, RunState
from tests.chaos.faults import Record
from tests.chaos.stage import Stage

ENDS = {f"run_{state}" for state in TERMINAL}

Matrix = dict[tuple[int, str], list[int]]
"""Correct predictions per earlier task, by (task, classifier)."""

References = dict[tuple[str, int], Matrix]
"""By method and seed: the results of the engine without faults."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a chaotic time ended."""

    database: str
    seconds: float
    faults: dict[str, int]
    missed: dict[str, int]
    skipped: dict[str, str]
    jobs: int
    runs: int
    succeeded: int
    cancelled: int
    attempts: int
    lost: list[str]
    duplicated: list[str]
    different: list[str]
    stale: list[str]
    orphans: list[str]
    first_recoveries: list[float]
    recoveries: list[float]

    def __str__(self) -> str:
        names = sorted({*self.faults, *self.missed})
        faults = "\n".join(
            f"| {name} | {self.faults.get(name, 0)} | {self.missed.get(name, 0)} |" for name in names
        )
        skipped = "".join(f"\n{name}: skipped, {reason}.\n" for name, reason in self.skipped.items())
        lines = [
            f"## {self.database}, {self.seconds:.0f} s of faults",
            "",
            "| fault | took effect | hit nothing |",
            "|---|---:|---:|",
            faults,
            skipped,
            f"{sum(self.faults.values())} faults took effect; {self.jobs} jobs of {self.runs} runs: "
            f"{self.succeeded} succeeded, {self.cancelled} cancelled, in {self.attempts} attempts.",
            f"Lost: {len(self.lost)}. Duplicated: {len(self.duplicated)}. "
            f"Different from the run without faults: {len(self.different)}. "
            f"Stale leases: {len(self.stale)}. Orphaned processes: {len(self.orphans)}.",
            "Recovery, from the fault to the next attempt: "
            f"{_times(self.first_recoveries)} after a run's first loss; "
            f"{_times(self.recoveries)} in all.",
            "",
        ]
        return "\n".join(lines)


def _times(seconds: list[float]) -> str:
    return (
        f"p50 {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s ({len(seconds)} times)"
        if seconds
        else "never needed"
    )


def unfinished(stage: Stage) -> list[str]:
    """Runs that are not terminal, with their states."""
    with stage.database.reading() as session:
        runs = session.scalars(select(Run).where(Run.finished_at.is_(None)))
        return [
            f"{run.id} {run.state}, attempt {run.attempt} of {run.worker_id}, "
            f"not before {run.not_before}, {run.message}"
            for run in runs
        ]


def judge(stage: Stage, record: Record, references: References, seconds: float) -> Verdict:
    """Audit every row and every process; call it after the stage has stopped."""
    with stage.database.reading() as session:
        jobs = session.scalars(select(Job).options(selectinload(Job.links))).all()
        runs = session.scalars(
            select(Run).options(selectinload(Run.attempts), selectinload(Run.results))
        ).all()
        accepted = {
            run.id: _accepted(
                session.scalars(select(Event).where(Event.run_id == run.id).order_by(Event.sequence))
            )
            for run in runs
        }
    cancelled = {link.run_id for job in jobs if job.id in record.cancelled for link in job.links}
    attempts = {run.id: run.attempts for run in runs}
    return Verdict(
        database="PostgreSQL" if stage.server else "SQLite",
        seconds=seconds,
        faults=dict(record.faults),
        missed=dict(record.missed),
        skipped=record.skipped,
        jobs=len(jobs),
        runs=len(runs),
        succeeded=sum(run.state is RunState.succeeded for run in runs),
        cancelled=sum(run.state is RunState.cancelled for run in runs),
        attempts=sum(len(run.attempts) for run in runs),
        lost=_lost(record, jobs, runs, cancelled),
        duplicated=_duplicated(jobs, accepted),
        different=[run.id for run in runs if not _agrees(run, references[run.method, run.seed])],
        stale=[run.id for run in runs if run.lease_until is not None],
        orphans=stage.family(),
        first_recoveries=_recoveries(record, attempts, first=True),
        recoveries=_recoveries(record, attempts, first=False),
    )


def _lost(record: Record, jobs: Sequence[Job], runs: Sequence[Run], cancelled: set[str]) -> list[str]:
    known = {job.id for job in jobs}
    acknowledged = record.acknowledged.items()
    missing = [f"{name} ({job_id}) is missing" for name, job_id in acknowledged if job_id not in known]
    ended_badly = [run for run in runs if not _ended_well(run, cancelled)]
    return missing + [f"{run.id} is {run.state}: {run.message}" for run in ended_badly]


def _duplicated(jobs: Sequence[Job], accepted: dict[str, Counter[str]]) -> list[str]:
    names = Counter(job.name for job in jobs if job.name)
    twice = [f"{name} made {count} jobs" for name, count in sorted(names.items()) if count > 1]
    return twice + [
        f"{run_id} accepted {place} {count} times"
        for run_id, places in accepted.items()
        for place, count in places.items()
        if count > 1
    ]


def _accepted(events: Iterable[Event]) -> Counter[str]:
    """How often each task's result and the end were accepted, by the event log, which no key keeps unique.

    Discarded results do not count.
    """
    accepted: Counter[str] = Counter()
    for event in events:
        if event.kind == "task_evaluated":
            accepted[f"task {event.payload['task']}"] += 1
        elif event.kind == "run_started":
            accepted.subtract(f"task {task}" for task in event.payload["discarded_tasks"])
        elif event.kind in ENDS:
            accepted["the end"] += 1
    return accepted


def _ended_well(run: Run, cancelled: set[str]) -> bool:
    return run.state is RunState.succeeded or (run.state is RunState.cancelled and run.id in cancelled)


def _agrees(run: Run, reference: Matrix) -> bool:
    """Every recorded row is the reference's, and a success has all of them."""
    rows: list[TaskResult] = run.results
    found = {(row.task, row.classifier): list(row.correct) for row in rows}
    return all(reference[place] == row for place, row in found.items()) and (
        run.state is not RunState.succeeded or found.keys() == reference.keys()
    )


def _recoveries(record: Record, attempts: dict[str, list[Attempt]], *, first: bool) -> list[float]:
    """Seconds from each blow that cost a run its attempt to the start of the next one."""
    seconds = []
    for blow in record.blows:
        for run_id, number in blow.held:
            later = [attempt for attempt in attempts.get(run_id, []) if attempt.number == number + 1]
            if later and later[0].started_at.timestamp() > blow.at and (number == 1 or not first):
                seconds.append(later[0].started_at.timestamp() - blow.at)
    return seconds
