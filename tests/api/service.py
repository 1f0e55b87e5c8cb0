"""A service under test: its application, users and tokens, and its workers, which train nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from sqlalchemy import func, select

from api.main import create_app
from api.settings import Settings
from cil_core import ENGINE_VERSION
from cil_core.spec.events import Counts, Footprint, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.jobs import RunSpec
from cil_core.spec.metrics import matrix_digest
from cil_core.spec.recipes import BY_NAME
from store import runs
from store.access import accounts
from store.database.models import Job, Run, TrackRow
from store.database.session import Database

DIGITS = "digits-b0-inc2-m50-convnet"
TASKS, IMAGES = 5, 100
BY_LOSS = (
    "finetune",
    "joint",
    "replay",
    "lwf",
    "ewc",
    "gem",
    "agem",
    "derpp",
    "icarl",
    "bic",
    "wa",
    "coil",
    "ucir",
    "podnet",
    "der",
    "der-wa",
    "memo",
    "foster",
    "simplecil",
    "fetril",
    "acil",
    "pass",
)
"""Methods by how much `evaluated` lets them forget; all others forget most."""
WORKER = runs.WorkerOffer("worker-1", "cil", "cpu")


class Service:
    """An application on a database, with the actions of its operator and its workers."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database = database
        url = database.engine.url.render_as_string(hide_password=False)
        self.settings = Settings(**{"database_url": url, "event_poll": timedelta(seconds=0.05), **settings})
        self.app: FastAPI = create_app(self.settings)
        self.user, self.token = self.add_user("ada")

    def add_user(
        self, name: str, scopes: tuple[str, ...] = ("jobs:write",), lifetime: timedelta | None = None
    ) -> tuple[str, str]:
        with self.database.transaction() as session:
            user = accounts.create_user(
                session, name, accounts.Role.admin if "admin" in scopes else accounts.Role.submitter
            )
            return user.id, accounts.issue_token(session, user.id, "a token", scopes, lifetime).plain

    def written(self) -> dict[str, int]:
        with self.database.reading() as session:
            return {
                model.__tablename__: session.scalars(select(func.count()).select_from(model)).one()
                for model in (Job, Run, TrackRow)
            }

    def claim(self) -> runs.Claim | None:
        with self.database.transaction() as session:
            return runs.claim(session, WORKER, timedelta(seconds=60))

    def start(self, claim: runs.Claim, engine_version: str = ENGINE_VERSION) -> None:
        started = RunStarted(
            engine_version=engine_version,
            spec_digest=claim.spec.digest(),
            device="cpu",
            dataset_fingerprint="f" * 64,
            task_sizes=(2,) * TASKS,
            class_order=tuple(range(2 * TASKS)),
            resumed_at=0,
        )
        with self.database.transaction() as session:
            runs.record(session, claim, started)

    def evaluate(self, claim: runs.Claim, task: int, off: int = 0) -> None:
        with self.database.transaction() as session:
            runs.record(session, claim, evaluated(claim.spec, task, off), 2.5)

    def finish(self, claim: runs.Claim, off: int = 0, environment: dict[str, Any] | None = None) -> None:
        rows = [
            {name: row.model_dump() for name, row in evaluated(claim.spec, task, off).results.items()}
            for task in range(TASKS)
        ]
        with self.database.transaction() as session:
            runs.finish(
                session,
                claim,
                RunFinished(matrix_digest=matrix_digest(rows)),
                environment or {"python": "3.11"},
            )

    def complete(
        self,
        claim: runs.Claim,
        off: int = 0,
        environment: dict[str, Any] | None = None,
        engine_version: str = ENGINE_VERSION,
    ) -> None:
        """Finish a run, with `off` correct predictions fewer in its first task than other runs."""
        self.start(claim, engine_version)
        for task in range(TASKS):
            self.evaluate(claim, task, off)
        self.finish(claim, off, environment)

    def complete_all(self) -> int:
        done = 0
        while claim := self.claim():
            self.complete(claim)
            done += 1
        return done

    def fail(self, claim: runs.Claim, message: str) -> None:
        with self.database.transaction() as session:
            runs.fail(session, claim, runs.FailureClass.diverged, message, {"log": ["last line"]})


class Bare:
    """An application on a database that was not set up."""

    token = "cil_none"

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)


def evaluated(spec: RunSpec, task: int, off: int = 0) -> TaskEvaluated:
    """Reproducible counts per method, seed and classifier: later methods of `BY_LOSS` forget more."""
    name = spec.method.name
    loss = 1 + (BY_LOSS.index(name) if name in BY_LOSS else len(BY_LOSS))
    fewer = off if task == 0 else 0
    results = {
        name: Counts(
            correct=tuple(
                95 - fewer - loss * (task - column) - spec.seed % 5 - place for column in range(task + 1)
            ),
            correct_top5=(IMAGES,) * (task + 1),
        )
        for place, name in enumerate(BY_NAME[spec.method.name].classifiers)
    }
    exemplars = 50 if BY_NAME[spec.method.name].uses_memory else 0
    footprint = Footprint(
        parameters=1000 + task,
        backbone_parameters=900,
        exemplars=exemplars,
        counted_bytes=3600 + 64 * exemplars,
        kept_bytes=8000,
    )
    return TaskEvaluated(
        task=task,
        known=2 * task,
        seen=2 * task + 2,
        test_images=(IMAGES,) * (task + 1),
        results=results,
        footprint=footprint,
    )


def job(
    method: str = "replay", seeds: tuple[int, ...] = (1, 2, 3), track: Any = DIGITS, **recipe: Any
) -> dict[str, Any]:
    """A job as a client writes it."""
    return {"method": {"name": method, **recipe}, "track": track, "seeds": list(seeds)}
