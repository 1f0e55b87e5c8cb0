"""Is this job one we accept? What a body can be refused for beyond its form, asked before anything is written; and how much one user may ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.deps import writing
from api.http import problems
from api.http.problems import Problem
from api.settings import Settings
from cil_core import ENGINE_VERSION
from cil_core.spec import validation
from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import JobSpec
from store import runs
from store.access.accounts import Principal, Scope
from store.access.quotas import pending_runs, take_turn
from store.database.models import Job
from store.database.session import Database
from store.database.states import RunState
from store.datasets import dataset_cards, fingerprint_of
from store.queries.jobs import get_job


def check(spec: JobSpec, database: Database, limits: Settings) -> None:
    """Refuse a job that cannot be run or asks for more than this service gives.

    Args:
        spec: what was asked for.
        database: is only read, so that what is refused never takes the write lock, and not even that for a built-in dataset.
        limits: of this service.

    Raises:
        InvalidSpec: says what was given and what is allowed; `field` locates it in the body.
    """
    datasets = DATASETS
    if spec.track.dataset not in DATASETS:
        with database.reading() as session:
            datasets = dataset_cards(session)
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


def within_quota(session: Session, user_id: str, limits: Settings, submit: Callable[[], Job]) -> str:
    """Submit a job, unless too many of the user's runs would then wait or run.

    Args:
        session: a writing session, to be rolled back if this raises.
        user_id: whose job it is.
        limits: of this service.
        submit: makes the job in this session, with its `links` loaded.

    Returns:
        The job's id.

    Raises:
        Problem: too-many-runs.
    """
    job = submit()
    take_turn(session, user_id)  # only now: while one is counted, the user's other submissions can be written
    waiting = pending_runs(session, user_id)
    if waiting > limits.max_queued_runs and any(not link.reused for link in job.links):
        detail = (
            f"with this job {waiting} of your runs would wait or run; the limit is {limits.max_queued_runs}"
        )
        raise Problem(problems.TOO_MANY_RUNS, detail, headers={"Retry-After": "60"})
    return job.id


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that was just made, and the queues whose doorbells shall be rung."""

    id: str
    queues: frozenset[str]


def submit_as(principal: Principal, spec: JobSpec, database: Database, settings: Settings) -> Submitted:
    """Submit a checked job on behalf of `principal`.

    Raises:
        Problem: too many of their runs wait.
    """
    with writing(database, principal) as session:
        job = get_job(session, submit(session, principal, spec, force=False, settings=settings))
        return Submitted(
            job.id, frozenset(link.run.queue for link in job.links if link.run.state is RunState.queued)
        )


def cancel_as(session: Session, principal: Principal, job_id: str) -> None:
    """Ask for the end of a job on behalf of `principal`.

    Raises:
        Problem: it is somebody else's.
        NotFound, AlreadyTerminal: as `runs.cancel`.
    """
    _check_owner(session, principal, job_id)
    runs.cancel(session, job_id)


def submit(session: Session, principal: Principal, spec: JobSpec, *, force: bool, settings: Settings) -> str:
    """Submit a job in this transaction; returns its id.

    Raises:
        Problem: too many of the user's runs wait.
    """
    fingerprint = fingerprint_of(session, spec.track.dataset)

    def make() -> Job:
        return runs.submit(
            session,
            spec,
            user_id=principal.user_id,
            engine_version=ENGINE_VERSION,
            force=force,
            dataset_fingerprint=fingerprint,
        )

    return within_quota(session, principal.user_id, settings, make)


def _check_owner(session: Session, principal: Principal, job_id: str) -> None:
    job = get_job(session, job_id)
    if job.user_id != principal.user_id and not principal.may(Scope.admin):
        raise Problem(problems.FORBIDDEN, "only who submitted a job, or an administrator, may cancel it")
