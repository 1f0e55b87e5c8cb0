"""The tables, one class each. Nothing is loaded lazily; every time is UTC by the database's clock.

Decisions:
    * A job refers to runs (`job_runs`) and does not own them: a run that several jobs want is executed once.
    * The database enforces the invariants too, by checks here and triggers in the migrations: terminal rows
      never change, events are append-only, and only the attempt that holds a run inserts its results.
    * `summaries` repeats `task_results`, so that a leaderboard is an indexed aggregate. It can always be
      recomputed.
"""

from store.database.models.catalog import Dataset, ReportedResult, TrackRow
from store.database.models.jobs import Event, Job, JobRun
from store.database.models.results import Replay, Summary, TaskResult
from store.database.models.runs import Attempt, Run, Worker
from store.database.models.users import IdempotencyKey, Token, User

__all__ = [
    "Attempt",
    "Dataset",
    "Event",
    "IdempotencyKey",
    "Job",
    "JobRun",
    "Replay",
    "ReportedResult",
    "Run",
    "Summary",
    "TaskResult",
    "Token",
    "TrackRow",
    "User",
    "Worker",
]
