"""Is this job one we accept? What a body can be refused for beyond its form, asked before anything is written; and how much one user may ask for."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from api import problems
from api.problems import Problem
from api.settings import Settings
from cil_core import validation
from cil_core.catalog import DATASETS
from cil_core.errors import InvalidSpec
from cil_core.spec import JobSpec
from store.datasets import dataset_cards
from store.models import Job
from store.quotas import pending_runs, take_turn
from store.session import Database


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
        raise InvalidSpec(f"{len(spec.seeds)} seeds were given; a job may have {limits.max_seeds} at most", ("seeds",))
    for name, schedule in spec.method.schedules.items():
        if schedule.epochs > limits.max_epochs:
            raise InvalidSpec(f"{schedule.epochs} epochs were given; a schedule may have {limits.max_epochs} at most", ("method", name, "epochs"))


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
        detail = f"with this job {waiting} of your runs would wait or run; the limit is {limits.max_queued_runs}"
        raise Problem(problems.TOO_MANY_RUNS, detail, headers={"Retry-After": "60"})
    return job.id
