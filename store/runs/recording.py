"""Recording what a run reports: its events, the results of its tasks, and its success.

Decisions:
    * Every write passes the fence first. A fenced-out writer changes nothing.
    * A resumed attempt reports the results of finished tasks again. Equal rows are not announced twice;
      different ones are an error, since a run has one result.
    * An attempt that starts at task r found no usable checkpoint of r or later. Results that earlier attempts
      recorded for those tasks are then discarded, and an event says so: the matrix must come from one chain
      of tasks.
    * A replay is compared with the run it repeats and never replaces it on a leaderboard.
    * A run succeeds only if its rows form the whole matrix and their digest is the one the engine computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from cil_core.spec.events import Counts, Event, Footprint, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.recipes import BY_NAME
from store.database.errors import ResultConflict
from store.database.models import Run, Summary, TaskResult
from store.database.states import AttemptOutcome, RunState
from store.leaderboard.tracks import raise_revision
from store.runs import replays
from store.runs.claims import Claim
from store.runs.events import append
from store.runs.job_state import lock_jobs
from store.runs.submission import entry_id, run_key
from store.runs.summaries import digest, summarize
from store.runs.transitions import AttemptEnding, end, held


def record(session: Session, claim: Claim, event: Event, seconds: float | None = None) -> None:
    """Record an event of a running run; with `TaskEvaluated`, the task's results.

    Args:
        session: a writing session.
        claim: the writer.
        event: any but `RunFinished`, which is for `finish`.
        seconds: with `TaskEvaluated`: the duration of the task.

    Raises:
        LeaseLost: this attempt no longer holds the run.
        ResultConflict: the task has another result already, or the data is not the one the run needs.
    """
    if isinstance(event, RunFinished):
        raise TypeError("RunFinished ends the run: call finish(), which records it together with the success")
    run = held(session, claim)
    payload = event.model_dump(mode="json") | {"attempt": claim.attempt}
    if isinstance(event, RunStarted):
        payload |= _start(session, run, claim, event)
    elif isinstance(event, TaskEvaluated):
        if not _insert_results(session, claim, event, seconds):
            return
        payload |= {"seconds": seconds}
    append(session, lock_jobs(session, [run.id]), event.kind, payload, run.id)


def finish(session: Session, claim: Claim, event: RunFinished, environment: dict[str, Any]) -> None:
    """Accept a complete run: summaries and success in one transaction.

    Raises:
        LeaseLost: this attempt no longer holds the run.
        ResultConflict: its results are incomplete or not those the engine counted.
    """
    key = select(Run.key).where(Run.id == claim.run_id).scalar_subquery()
    # forced runs of one key finish one after the other
    session.execute(select(Run.id).where(Run.key == key).order_by(Run.id).with_for_update())
    run = held(session, claim)
    rows = session.scalars(select(TaskResult).where(TaskResult.run_id == run.id)).all()
    _check_complete(run, rows, event)
    is_replay = replays.compare_with_original(session, run, rows, event.matrix_digest, environment)
    if not is_replay:
        session.execute(
            update(Summary)
            .where(Summary.entry_id == run.entry_id, Summary.seed == run.seed, Summary.counted)
            .values(counted=False)
        )
    session.add_all(summaries_of(run, rows, counted=not is_replay))
    session.flush()
    append(
        session,
        lock_jobs(session, [run.id]),
        event.kind,
        event.model_dump(mode="json") | {"attempt": claim.attempt},
        run.id,
    )
    raise_revision(session, run.track_slug)  # last of all locks
    end(
        session,
        run,
        RunState.succeeded,
        AttemptEnding(AttemptOutcome.succeeded),
        environment=environment,
        matrix_digest=event.matrix_digest,
    )


def _start(session: Session, run: Run, claim: Claim, event: RunStarted) -> dict[str, Any]:
    if run.dataset_fingerprint not in {None, event.dataset_fingerprint}:
        raise ResultConflict(
            f"{run.dataset} on this worker has the fingerprint {event.dataset_fingerprint};"
            f" the run needs {run.dataset_fingerprint}"
        )
    described: dict[str, Any] = {
        "device": event.device,
        "task_sizes": list(event.task_sizes),
        "class_order": list(event.class_order),
    }
    # a run queued before an upgrade of the workers counts for the version that executes it
    if event.engine_version != run.engine_version:
        data, version = run.dataset_fingerprint, event.engine_version
        described |= {
            "engine_version": version,
            "key": run_key(claim.spec, version, data),
            "entry_id": entry_id(claim.spec, version, data),
            "forced": True,
        }
    session.execute(update(Run).where(Run.id == run.id).values(**described))
    earlier = (
        TaskResult.run_id == run.id,
        TaskResult.task >= event.resumed_at,
        TaskResult.attempt < claim.attempt,
    )
    discarded = session.scalars(
        select(TaskResult.task).where(*earlier).distinct().order_by(TaskResult.task)
    ).all()
    session.execute(delete(TaskResult).where(*earlier))
    return {"discarded_tasks": list(discarded)}


def _insert_results(session: Session, claim: Claim, event: TaskEvaluated, seconds: float | None) -> bool:
    """Insert one row per classifier; False if equal rows exist."""
    reported = {name: _row(claim, event, name, counts, seconds) for name, counts in event.results.items()}
    known = session.scalars(
        select(TaskResult).where(TaskResult.run_id == claim.run_id, TaskResult.task == event.task)
    ).all()
    if not known:
        session.add_all(reported.values())
        session.flush()
        return True
    if {name: _counts(row) for name, row in reported.items()} != {
        row.classifier: _counts(row) for row in known
    }:
        raise ResultConflict(
            f"attempt {claim.attempt} of {claim.run_id} reports other counts for task {event.task}"
            f" than attempt {known[0].attempt} recorded"
        )
    return False


def _row(
    claim: Claim, event: TaskEvaluated, classifier: str, counts: Counts, seconds: float | None
) -> TaskResult:
    return TaskResult(
        run_id=claim.run_id,
        task=event.task,
        classifier=classifier,
        attempt=claim.attempt,
        known=event.known,
        seen=event.seen,
        test_images=list(event.test_images),
        correct=list(counts.correct),
        correct_top5=list(counts.correct_top5),
        footprint=event.footprint.model_dump(mode="json"),
        diagnostics=dict(event.diagnostics),
        seconds=seconds,
    )


def _counts(row: TaskResult) -> tuple[object, ...]:
    return (row.known, row.seen, row.test_images, row.correct, row.correct_top5)


def _check_complete(run: Run, rows: Sequence[TaskResult], event: RunFinished) -> None:
    tasks = {row.task for row in rows}
    if run.task_sizes is None or tasks != set(range(len(run.task_sizes))):
        raise ResultConflict(
            f"{run.id} cannot succeed: it has results of the tasks {sorted(tasks)};"
            f" its tasks have the sizes {run.task_sizes}"
        )
    if digest(rows) != event.matrix_digest:
        raise ResultConflict(
            f"{run.id} cannot succeed: its recorded counts have the digest {digest(rows)};"
            f" the engine's have {event.matrix_digest}"
        )


def summaries_of(run: Run, rows: Sequence[TaskResult], counted: bool) -> list[Summary]:
    """The reported numbers of a complete run, one row per classifier.

    Args:
        run: the run.
        rows: all its results.
        counted: whether leaderboards count it for its seed.
    """
    ranking = BY_NAME[run.method].classifiers[0]
    last = max(rows, key=lambda row: row.task)
    footprint = Footprint.model_validate(last.footprint)
    seconds = [row.seconds for row in rows if row.classifier == last.classifier]
    return [
        Summary(
            run_id=run.id,
            classifier=classifier,
            track_slug=run.track_slug,
            entry_id=run.entry_id,
            seed=run.seed,
            ranking=classifier == ranking,
            counted=counted,
            average_accuracy=summary.average_accuracy,
            last_accuracy=summary.last_accuracy,
            forgetting=summary.forgetting,
            metrics=summary.model_dump(mode="json"),
            exemplars=footprint.exemplars,
            counted_bytes=footprint.counted_bytes,
            kept_bytes=footprint.kept_bytes,
            parameters=footprint.parameters,
            train_seconds=None if None in seconds else sum(filter(None, seconds)),
        )
        for classifier, summary in summarize(rows).items()
    ]
