"""Bodies about runs and their attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Row

from cil_core.spec import metrics
from cil_core.spec.events import Footprint
from cil_core.spec.recipes import BY_NAME
from store.database.models import Attempt, Run, TaskResult
from store.database.states import AttemptOutcome, FailureClass, RunState
from store.runs import Lineage, matrices

PRIVATE = ("log", "log_tail", "traceback")
"""Evidence that may contain paths and names of a worker's machine."""

_EVIDENCE = (
    "Known circumstances of the end. Log lines and tracebacks are visible to submitters of the run and to "
    "administrators; `withheld` names them for others."
)


class AttemptAnswer(BaseModel):
    """An attempt of a run, and why it ended."""

    number: int
    worker: str
    device: str
    outcome: AttemptOutcome
    failure: FailureClass | None
    message: str | None
    evidence: dict[str, Any] | None = Field(description=_EVIDENCE)
    started_at: datetime
    ended_at: datetime | None


class RunBrief(BaseModel):
    """A run without its attempts and results."""

    id: str = Field(examples=["run_01k9x3v8h2m4n6p8q0r2s4t6v8"])
    seed: int
    state: RunState
    attempt: int = Field(description="Number of the latest attempt; 0 before the first one.")
    worker: str | None
    device: str | None
    failure: FailureClass | None = Field(description="Why the latest attempt failed.")
    message: str | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ClassifierAnswer(BaseModel):
    """The accuracy matrix of a run under one classifier."""

    ranks: bool = Field(description="Whether this classifier ranks the method.")
    summary: metrics.Summary | None = Field(description="None until every task is evaluated.")
    correct: list[list[int]] = Field(
        description="Row t: correct predictions on the test images of each seen task, after task t."
    )
    correct_top5: list[list[int]]
    test_images: list[int] = Field(description="Test images of each seen task.")


class TaskAnswer(BaseModel):
    """The state of a run after a task."""

    task: int
    known: int
    seen: int
    seconds: float | None
    attempt: int
    footprint: Footprint
    diagnostics: dict[str, Any]


class ReplayAnswer(BaseModel):
    """A replay of a run."""

    run: str
    agrees: bool | None = Field(description="Whether it reproduced the results; None until it finishes.")
    bitwise: bool | None = Field(description="Whether every count is equal.")
    largest_difference: float | None = Field(
        description="Largest difference between two points of the accuracy curves."
    )


class RunAnswer(RunBrief):
    """A run with its results, environment and attempts."""

    method: str
    track: str
    entry_id: str
    engine_version: str
    dataset_fingerprint: str | None = Field(
        description="SHA-256 of the arrays; for a built-in dataset, None until the run succeeds."
    )
    recipe: dict[str, Any]
    recipe_digest: str
    task_sizes: list[int] | None
    class_order: list[int] | None
    tasks: list[TaskAnswer]
    classifiers: dict[str, ClassifierAnswer]
    matrix_digest: str | None = Field(description="SHA-256 of all counts; equal digests mean equal counts.")
    environment: dict[str, Any] | None
    evidence: dict[str, Any] | None = Field(description=_EVIDENCE)
    attempts: list[AttemptAnswer]
    replay_of: str | None = Field(description="The original run, if this one is a replay.")
    replays: list[ReplayAnswer] = Field(description="Replays of this run, the oldest first.")


def brief(run: Run | Row[Any]) -> dict[str, Any]:
    """The fields of a `RunBrief`."""
    return {
        "id": run.id,
        "seed": run.seed,
        "state": run.state,
        "attempt": run.attempt,
        "worker": run.worker_id,
        "device": run.device,
        "failure": run.failure,
        "message": run.message,
        "cancel_requested": run.cancel_requested,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def run_answer(run: Run, lineage: Lineage, whole: bool = False) -> RunAnswer:
    """The body for a run from `store.queries.runs.get_run`; `whole` includes private evidence."""
    found = matrices(run.results)
    return RunAnswer(
        **brief(run),
        method=run.method,
        track=run.track_slug,
        entry_id=run.entry_id,
        engine_version=run.engine_version,
        recipe=run.recipe,
        dataset_fingerprint=run.dataset_fingerprint or (run.environment or {}).get("dataset_fingerprint"),
        recipe_digest=run.recipe_digest,
        task_sizes=run.task_sizes,
        class_order=run.class_order,
        tasks=_tasks(next(iter(found.values()), [])),
        classifiers={name: _classifier(run, name, rows) for name, rows in found.items()},
        matrix_digest=run.matrix_digest,
        environment=run.environment,
        evidence=_shown(run.evidence, whole),
        attempts=attempts(run, whole),
        replay_of=lineage.replay_of,
        replays=[
            ReplayAnswer(
                run=row.run_id,
                agrees=row.agrees,
                bitwise=row.bitwise,
                largest_difference=row.largest_difference,
            )
            for row in lineage.replays
        ],
    )


def attempts(run: Run, whole: bool = False) -> list[AttemptAnswer]:
    """The attempts of a run, in order; `whole` includes private evidence."""
    return [_attempt(attempt, whole) for attempt in run.attempts]


def _shown(evidence: dict[str, Any] | None, whole: bool) -> dict[str, Any] | None:
    if evidence is None or whole:
        return evidence
    withheld = [name for name in PRIVATE if evidence.get(name)]
    shown = {name: value for name, value in evidence.items() if name not in PRIVATE}
    return {**shown, "withheld": withheld} if withheld else shown


def _attempt(attempt: Attempt, whole: bool) -> AttemptAnswer:
    return AttemptAnswer(
        number=attempt.number,
        worker=attempt.worker_id,
        device=attempt.device,
        outcome=attempt.outcome,
        failure=attempt.failure,
        message=attempt.message,
        evidence=_shown(attempt.evidence, whole),
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
    )


def _tasks(rows: Sequence[TaskResult]) -> list[TaskAnswer]:
    return [
        TaskAnswer(
            task=row.task,
            known=row.known,
            seen=row.seen,
            seconds=row.seconds,
            attempt=row.attempt,
            footprint=Footprint.model_validate(row.footprint),
            diagnostics=row.diagnostics,
        )
        for row in rows
    ]


def _classifier(run: Run, name: str, rows: Sequence[TaskResult]) -> ClassifierAnswer:
    summary = next((summary for summary in run.summaries if summary.classifier == name), None)
    return ClassifierAnswer(
        ranks=name == BY_NAME[run.method].classifiers[0],
        summary=summary and metrics.Summary.model_validate(summary.metrics),
        correct=[row.correct for row in rows],
        correct_top5=[row.correct_top5 for row in rows],
        test_images=rows[-1].test_images,
    )
