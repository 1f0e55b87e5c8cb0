"""The tables, one class each. Nothing is loaded lazily; every moment is UTC by the database's clock.

Decisions:
    * A job refers to runs (`job_runs`) rather than owning them: a run that several jobs ask for is executed once and appears in each.
    * What must never happen is refused by the database too: checks here, triggers in the migrations (terminal rows never change, events are
      append-only, a result is inserted only by the attempt that holds the run).
    * `summaries` repeats what `task_results` says, so that a leaderboard is an indexed aggregate; it can be recomputed at any time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.database.base import Base, partial_index
from store.database.clock import now
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState

_LIVE = "state IN ('queued', 'running') AND NOT cancel_requested AND NOT forced"


class User(Base):
    """Who may submit."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[str] = mapped_column(
        String(16), default="submitter", server_default="submitter"
    )  # store.access.accounts.Role
    created_at: Mapped[datetime] = mapped_column(default=now())
    disabled_at: Mapped[datetime | None]


class Token(Base):
    """A bearer token, of which only the hash is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    hint: Mapped[str] = mapped_column(String(16))  # its first characters, to tell tokens apart in a list
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")


class Track(Base):
    """A track somebody has submitted to."""

    __tablename__ = "tracks"

    slug: Mapped[str] = mapped_column(String(200), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    dataset: Mapped[str] = mapped_column(String(80))
    backbone: Mapped[str] = mapped_column(String(40))
    spec: Mapped[dict[str, Any]]
    revision: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # rises with every run that finishes here
    created_at: Mapped[datetime] = mapped_column(default=now())


class Job(Base):
    """What a user submitted; its state is the sum of its runs'."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    track_slug: Mapped[str] = mapped_column(ForeignKey("tracks.slug"))
    method: Mapped[str] = mapped_column(String(40))
    recipe_digest: Mapped[str] = mapped_column(String(64))
    spec: Mapped[dict[str, Any]]
    name: Mapped[str | None] = mapped_column(String(120))
    engine_version: Mapped[str] = mapped_column(String(40))
    priority: Mapped[int]
    forced: Mapped[bool]
    state: Mapped[JobState]
    last_sequence: Mapped[int] = mapped_column(default=0)  # of its events; raised under this row's lock
    created_at: Mapped[datetime] = mapped_column(default=now())
    finished_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]

    links: Mapped[list[JobRun]] = relationship(back_populates="job", order_by="JobRun.position", lazy="raise")

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "state", "created_at", "id"),
        Index(None, "method", "created_at", "id"),
        Index(None, "track_slug", "created_at", "id"),
        Index(None, "user_id", "created_at", "id"),
        CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)", name="ended"
        ),
    )


class Run(Base):
    """One seed of a recipe on a track: what a worker executes. The lease columns are set exactly while it runs."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(64))  # digest of everything its result depends on
    entry_id: Mapped[str] = mapped_column(String(40))  # the same without the seed
    track_slug: Mapped[str] = mapped_column(ForeignKey("tracks.slug"))
    method: Mapped[str] = mapped_column(String(40))
    recipe_digest: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    engine_version: Mapped[str] = mapped_column(String(40))
    dataset: Mapped[str] = mapped_column(String(80))
    dataset_fingerprint: Mapped[str | None] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(80))
    priority: Mapped[int]
    forced: Mapped[bool]

    state: Mapped[RunState] = mapped_column(default=RunState.queued)
    attempt: Mapped[int] = mapped_column(
        default=0
    )  # number of the latest attempt: the fencing token of every write
    charged: Mapped[int] = mapped_column(
        default=0
    )  # attempts that count towards the limit: all but those given back
    not_before: Mapped[datetime] = mapped_column(default=now())
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    worker_id: Mapped[str | None] = mapped_column(String(120))
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    failure: Mapped[FailureClass | None]
    message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None]
    task_sizes: Mapped[list[int] | None]
    class_order: Mapped[list[int] | None]
    device: Mapped[str | None] = mapped_column(String(120))
    environment: Mapped[dict[str, Any] | None]
    matrix_digest: Mapped[str | None] = mapped_column(String(64))

    track: Mapped[Track] = relationship(lazy="raise")
    attempts: Mapped[list[Attempt]] = relationship(order_by="Attempt.number", lazy="raise")
    results: Mapped[list[TaskResult]] = relationship(
        order_by="TaskResult.task, TaskResult.classifier", lazy="raise"
    )
    summaries: Mapped[list[Summary]] = relationship(order_by="Summary.classifier", lazy="raise")

    __table_args__ = (
        Index(None, "key"),
        partial_index("uq_runs_live_key", "key", where=_LIVE, unique=True),
        partial_index(
            "ix_runs_claim", "queue", text("priority DESC"), "created_at", "id", where="state = 'queued'"
        ),
        partial_index("ix_runs_waiting", "queue", "not_before", where="state = 'queued'"),
        partial_index("ix_runs_lease", "lease_until", where="state = 'running'"),
        partial_index("ix_runs_ended", "finished_at", where="finished_at IS NOT NULL"),
        CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL AND worker_id IS NOT NULL)", name="leased"
        ),
        CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled', 'dead')) = (finished_at IS NOT NULL)",
            name="ended",
        ),
        CheckConstraint("NOT (state = 'queued' AND cancel_requested)", name="cancelled_runs_do_not_wait"),
        CheckConstraint("0 <= charged AND charged <= attempt", name="charged"),
    )


class JobRun(Base):
    """A job wants a run; the run may also serve other jobs."""

    __tablename__ = "job_runs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True, index=True)
    position: Mapped[int]  # of its seed in the job
    reused: Mapped[bool]  # it was already there when the job was submitted
    withdrawn: Mapped[bool] = mapped_column(
        default=False
    )  # the job was cancelled; the run goes on for another

    job: Mapped[Job] = relationship(back_populates="links", lazy="raise")
    run: Mapped[Run] = relationship(lazy="raise")


class Attempt(Base):
    """One try at a run."""

    __tablename__ = "attempts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    worker_id: Mapped[str] = mapped_column(String(120))
    device: Mapped[str] = mapped_column(String(120))
    started_at: Mapped[datetime] = mapped_column(default=now())
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[AttemptOutcome] = mapped_column(default=AttemptOutcome.running)
    failure: Mapped[FailureClass | None]
    message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None]


class TaskResult(Base):
    """A row of the task × task accuracy matrix of one run under one classifier, with what the method kept after the task."""

    __tablename__ = "task_results"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    task: Mapped[int] = mapped_column(primary_key=True)
    classifier: Mapped[str] = mapped_column(String(40), primary_key=True)
    attempt: Mapped[int]  # that recorded it
    known: Mapped[int]
    seen: Mapped[int]
    test_images: Mapped[list[int]]  # of each task seen so far
    correct: Mapped[list[int]]
    correct_top5: Mapped[list[int]]
    footprint: Mapped[dict[str, Any]]
    diagnostics: Mapped[dict[str, Any]]
    seconds: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Summary(Base):
    """The reported numbers of a finished run under one classifier: recomputable from `task_results`."""

    __tablename__ = "summaries"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    classifier: Mapped[str] = mapped_column(String(40), primary_key=True)
    track_slug: Mapped[str] = mapped_column(ForeignKey("tracks.slug"))
    entry_id: Mapped[str] = mapped_column(String(40))
    seed: Mapped[int] = mapped_column(BigInteger)
    ranking: Mapped[bool]  # whether this is the classifier its method is ranked by
    counted: Mapped[bool]  # False once a later run of the same seed and entry has finished
    average_accuracy: Mapped[float]
    last_accuracy: Mapped[float]
    forgetting: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]  # every number of `cil_core.spec.metrics.Summary`, curves included
    exemplars: Mapped[int]
    counted_bytes: Mapped[int] = mapped_column(BigInteger)
    kept_bytes: Mapped[int] = mapped_column(BigInteger)
    parameters: Mapped[int] = mapped_column(BigInteger)
    train_seconds: Mapped[float | None]

    run: Mapped[Run] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (
        partial_index("uq_summaries_counted", "entry_id", "seed", "classifier", where="counted", unique=True),
        partial_index(
            "ix_summaries_ranking", "track_slug", "entry_id", "average_accuracy", where="counted AND ranking"
        ),
        partial_index(
            "ix_summaries_classifier",
            "track_slug",
            "classifier",
            "entry_id",
            "average_accuracy",
            where="counted",
        ),
    )


class Event(Base):
    """Something that happened to a job. The sequence has no gaps and rises in the order of commits."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Worker(Base):
    """A process that claims runs, or did."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    queue: Mapped[str] = mapped_column(String(80))
    device: Mapped[str] = mapped_column(String(120))
    datasets: Mapped[list[str] | None]  # None: any
    info: Mapped[dict[str, Any]]  # host, versions, slots: what it says of itself
    registered_at: Mapped[datetime] = mapped_column(default=now())
    seen_at: Mapped[datetime] = mapped_column(default=now(), index=True)
    stopped_at: Mapped[datetime | None]


class Replay(Base):
    """A run that repeats another one, to see whether it gets the same results."""

    __tablename__ = "replays"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    original_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now())
    agrees: Mapped[bool | None]  # None until it has finished
    bitwise: Mapped[bool | None]  # whether the counts are the same to the last one
    largest_difference: Mapped[float | None]  # of any point of an accuracy curve


class IdempotencyKey(Base):
    """A request that was answered: the same key and body make nothing a second time."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    made: Mapped[str | None] = mapped_column(
        String(40)
    )  # the id of what the request made: a job, a token, a result
    created_at: Mapped[datetime] = mapped_column(default=now(), index=True)


class ReportedResult(Base):
    """A result somebody reports, shown beside ours and never ranked with them. Accuracies are fractions."""

    __tablename__ = "reported_results"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    track_slug: Mapped[str] = mapped_column(String(200))
    method: Mapped[str | None] = mapped_column(String(40))  # the method of ours that it is
    title: Mapped[str] = mapped_column(String(80))
    citation: Mapped[str]
    link: Mapped[str | None]
    note: Mapped[str | None]
    seeds: Mapped[int | None]
    curve: Mapped[list[float]]
    matrix: Mapped[list[list[float]] | None]
    average_accuracy: Mapped[float]
    last_accuracy: Mapped[float]
    forgetting: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now())

    user: Mapped[User] = relationship(lazy="raise")

    __table_args__ = (Index(None, "track_slug", "id"),)


class Dataset(Base):
    """A folder dataset the operator registered."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    card: Mapped[dict[str, Any]]  # cil_core.spec.catalog.DatasetCard
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now())
