"""Bodies about jobs and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Row

from api.schemas.runs import AttemptAnswer, RunBrief, attempts, brief
from store.database.models import Event, Job, JobRun, Run
from store.database.states import JobState
from store.queries.jobs import ListedJob


class JobRunBrief(RunBrief):
    """A run of a job."""

    reused: bool = Field(
        description="The run existed before the job: finished, or in progress for another job."
    )
    withdrawn: bool = Field(description="The job was cancelled; the run continues for another job.")


class JobRunAnswer(JobRunBrief):
    """A run of a job, with its attempts."""

    average_accuracy: float | None = Field(
        description="Of the ranking classifier; None until the run succeeds."
    )
    last_accuracy: float | None
    attempts: list[AttemptAnswer]


class JobBrief(BaseModel):
    """A job in a list."""

    id: str = Field(examples=["job_01k9x3v8h2m4n6p8q0r2s4t6v8"])
    name: str | None
    state: JobState
    method: str = Field(examples=["icarl"])
    track: str = Field(examples=["cifar100-b0-inc10-m2000-resnet32"])
    user_id: str | None
    engine_version: str
    priority: int
    forced: bool
    created_at: datetime
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    runs: Sequence[JobRunBrief]


class JobAnswer(JobBrief):
    """A job with its spec and its runs."""

    spec: dict[str, Any] = Field(description="The submitted job, including every default.")
    reused: bool = Field(description="All its runs had already succeeded; nothing is executed.")
    queue_position: int | None = Field(
        description="Queued runs that start before this job's first waiting run, at most; None if none "
        "waits. Users take turns."
    )
    runs: Sequence[JobRunAnswer]


class Jobs(BaseModel):
    """A page of jobs, the newest first."""

    items: list[JobBrief]
    next_cursor: str | None


class EventAnswer(BaseModel):
    """An event of a job."""

    sequence: int = Field(description="Counts the job's events from 1; the SSE `id`.")
    kind: str = Field(examples=["task_evaluated"])
    run_id: str | None
    created_at: datetime
    payload: dict[str, Any]


class Events(BaseModel):
    """A page of a job's events, the oldest first."""

    items: list[EventAnswer]
    next_cursor: str | None = Field(
        description="Cursor of the next page, now or later; None after the last event of an ended job."
    )


def job_brief(listed: ListedJob) -> JobBrief:
    """The body for a job in a list."""
    return JobBrief(**_job(listed.job), runs=[JobRunBrief(**_job_run(run, run)) for run in listed.runs])


def job_answer(job: Job, queue_position: int | None) -> JobAnswer:
    """The body for a job from `store.queries.jobs.get_job`."""
    runs = [
        JobRunAnswer(**_job_run(link.run, link), **_accuracies(link.run), attempts=attempts(link.run))
        for link in job.links
    ]
    return JobAnswer(
        **_job(job), spec=job.spec, reused=was_reused(job), queue_position=queue_position, runs=runs
    )


def was_reused(job: Job) -> bool:
    """Whether every run of the job had succeeded before it was submitted."""
    return all(
        link.reused and link.run.finished_at is not None and link.run.finished_at <= job.created_at
        for link in job.links
    )


def has_ended(event: Event) -> bool:
    """Whether this is the final event of its job."""
    return event.kind == "job_finished"


def event_answer(event: Event) -> EventAnswer:
    """The body for an event."""
    return EventAnswer(
        sequence=event.sequence,
        kind=event.kind,
        run_id=event.run_id,
        created_at=event.created_at,
        payload=event.payload,
    )


def _job(job: Job | Row[Any]) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "method": job.method,
        "track": job.track_slug,
        "user_id": job.user_id,
        "priority": job.priority,
        "engine_version": job.engine_version,
        "forced": job.forced,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "cancel_requested_at": job.cancel_requested_at,
    }


def _job_run(run: Run | Row[Any], link: JobRun | Row[Any]) -> dict[str, Any]:
    return {**brief(run), "reused": link.reused, "withdrawn": link.withdrawn}


def _accuracies(run: Run) -> dict[str, float | None]:
    for summary in run.summaries:
        if summary.ranking:
            return {"average_accuracy": summary.average_accuracy, "last_accuracy": summary.last_accuracy}
    return {"average_accuracy": None, "last_accuracy": None}
