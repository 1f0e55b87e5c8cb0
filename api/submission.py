"""`Submissions`: submits, replays and cancels jobs, for JSON routes and pages alike.

Decisions:
    * A job is checked before anything is written, so a refused one never takes the write lock.
    * Idempotency key, job and quota share one transaction: a refused submission leaves neither a job nor a
      used key.
    * Few submissions run at a time. Those that wait for a lock occupy no thread that a reader needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from sqlalchemy.orm import Session

from api.deps import writing
from api.http import problems
from api.http.idempotent import KeyedRequest, idempotent
from api.http.problems import Problem
from api.schemas.jobs import JobAnswer, job_answer
from api.settings import Settings
from cil_core import ENGINE_VERSION
from cil_core.spec import validation
from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import JobSpec
from store import runs
from store.access.accounts import Principal, Scope
from store.access.quotas import pending_runs, serialise_submissions
from store.database.models import Job
from store.database.session import Database
from store.database.states import RunState
from store.datasets import dataset_cards, fingerprint_of
from store.queries.jobs import get_job
from store.queries.positions import queue_position

AT_ONCE = 4
"""Submissions processed at a time; more would only compete for the interpreter."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted job.

    Attributes:
        job: as the API returns it.
        queues: the queues of its waiting runs, whose workers should be woken up.
        replayed: whether an earlier request with the same idempotency key made it.
    """

    job: JobAnswer
    queues: frozenset[str]
    replayed: bool

    @property
    def path(self) -> str:
        """Path of the job."""
        return f"/api/v1/jobs/{self.job.id}"


class Submissions:
    """Submits, replays and cancels jobs.

    Args:
        database: stores the jobs.
        settings: limits of this service.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._limiter = CapacityLimiter(AT_ONCE)

    async def submit(
        self, principal: Principal, spec: JobSpec, key: str | None, *, force: bool = False
    ) -> Accepted:
        """Submit a job on behalf of `principal`.

        Args:
            principal: the submitter.
            spec: the job.
            key: the idempotency key; None always makes a new job.
            force: execute runs even if their results exist.

        Raises:
            InvalidSpec: the service cannot run it.
            Problem: too many of the user's runs wait.
            KeyReused, KeyInFlight: as `idempotent`.
        """
        return await self._in_thread(partial(self._submit, principal, spec, key, force))

    async def replay(self, principal: Principal, run_id: str, key: str | None) -> Accepted:
        """Submit a repetition of a finished run on behalf of `principal`.

        Raises:
            NotFound, NotReplayable: as `runs.replay`.
            Problem, KeyReused, KeyInFlight: as `submit`.
        """
        return await self._in_thread(partial(self._replay, principal, run_id, key))

    def cancel(self, principal: Principal, job_id: str, key: str | None) -> Accepted:
        """Request the cancellation of a job on behalf of `principal`.

        Raises:
            Problem: the job belongs to another user.
            NotFound, AlreadyTerminal: as `runs.cancel`.
            KeyReused, KeyInFlight: as `idempotent`.
        """
        with (
            writing(self._database, principal) as session,
            idempotent(session, principal, key, {"cancel": job_id}) as keyed,
        ):
            if keyed.made is None:
                _check_owner(session, principal, job_id)
                runs.cancel(session, job_id)
                keyed.made = job_id
            return _accepted(session, keyed)

    async def _in_thread(self, work: Callable[[], Accepted]) -> Accepted:
        return await to_thread.run_sync(work, limiter=self._limiter)

    def _submit(self, principal: Principal, spec: JobSpec, key: str | None, force: bool) -> Accepted:
        spec = check(spec, self._database, self._settings)
        meaning = {"spec": spec.model_dump(mode="json"), "force": force}
        with (
            writing(self._database, principal) as session,
            idempotent(session, principal, key, meaning) as keyed,
        ):
            if keyed.made is None:
                job = runs.submit(
                    session,
                    spec,
                    user_id=principal.user_id,
                    engine_version=ENGINE_VERSION,
                    force=force,
                    dataset_fingerprint=fingerprint_of(session, spec.track.dataset),
                )
                check_quota(session, job, principal.user_id, self._settings)
                keyed.made = job.id
        return self._read(keyed)

    def _replay(self, principal: Principal, run_id: str, key: str | None) -> Accepted:
        with (
            writing(self._database, principal) as session,
            idempotent(session, principal, key, {"replay": run_id}) as keyed,
        ):
            if keyed.made is None:
                job = runs.replay(session, run_id, user_id=principal.user_id, engine_version=ENGINE_VERSION)
                check_quota(session, job, principal.user_id, self._settings)
                keyed.made = job.id
        return self._read(keyed)

    def _read(self, keyed: KeyedRequest) -> Accepted:
        with self._database.reading() as session:  # after the commit: the write lock is free again
            return _accepted(session, keyed)


async def _submissions(request: Request) -> Submissions:
    return request.app.state.submissions  # type: ignore[no-any-return]


SubmissionsDep = Annotated[Submissions, Depends(_submissions)]


def check(spec: JobSpec, database: Database, limits: Settings) -> JobSpec:
    """Refuse a job that cannot run or exceeds the limits of this service.

    Args:
        spec: the job.
        database: only read, and only if the dataset is not built in.
        limits: of this service.

    Returns:
        The same job with class names replaced by their numbers.

    Raises:
        InvalidSpec: the message names the given and the allowed value; `field` locates it in the body.
    """
    datasets = DATASETS
    if spec.track.dataset not in DATASETS:
        with database.reading() as session:
            datasets = dataset_cards(session)
    spec = spec.model_copy(update={"track": validation.resolved(spec.track, datasets)})
    validation.check(spec.method, spec.track, datasets)
    if len(spec.seeds) > limits.max_seeds:
        raise InvalidSpec(
            f"{len(spec.seeds)} seeds were given; a job may have {limits.max_seeds} at most", ("seeds",)
        )
    for name, schedule in spec.method.schedules.items():
        if schedule.epochs > limits.max_epochs:
            raise InvalidSpec(
                f"{schedule.epochs} epochs were given; a schedule may have {limits.max_epochs} at most",
                ("method", name, "epochs"),
            )
    return spec


def check_quota(session: Session, job: Job, user_id: str, limits: Settings) -> None:
    """Refuse a new job with which too many of the user's runs would wait or run.

    Args:
        session: the writing session that made the job; the caller rolls it back if this raises.
        job: with its `links` loaded.
        user_id: the submitter.
        limits: of this service.

    Raises:
        Problem: too-many-runs.
    """
    serialise_submissions(
        session, user_id
    )  # only now: it makes the user's other submissions wait until the commit
    waiting = pending_runs(session, user_id)
    if waiting > limits.max_queued_runs and any(not link.reused for link in job.links):
        detail = (
            f"with this job you would have {waiting} unfinished runs; the limit is {limits.max_queued_runs}"
        )
        raise Problem(problems.TOO_MANY_RUNS, detail, headers={"Retry-After": "60"})


def _accepted(session: Session, keyed: KeyedRequest) -> Accepted:
    job = get_job(session, keyed.result)
    return Accepted(
        job=job_answer(job, queue_position(session, job.id)),
        queues=frozenset(link.run.queue for link in job.links if link.run.state is RunState.queued),
        replayed=keyed.replayed,
    )


def _check_owner(session: Session, principal: Principal, job_id: str) -> None:
    job = get_job(session, job_id)
    if job.user_id != principal.user_id and not principal.may(Scope.admin):
        raise Problem(problems.FORBIDDEN, "only the submitter or an administrator may cancel this job")
