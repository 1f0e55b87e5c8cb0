"""Writing the records of a snapshot into a database, and checking those it already has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from cil_core.spec.catalog import DatasetCard
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.submitted_method import is_submitted
from store.access import accounts
from store.database.clock import now
from store.database.errors import ResultConflict
from store.database.models import Attempt, Dataset, Replay, ReportedResult, Run, Summary, TaskResult, TrackRow
from store.database.states import AttemptOutcome, RunState
from store.database.upsert import insert_if_absent
from store.datasets import register_dataset
from store.leaderboard.tracks import raise_revision
from store.runs import digest, ensure_track, entry_id, run_key, summaries_of
from store.snapshot.record_format import FORMAT, KINDS, REPORTED_COLUMNS, RESULT_COLUMNS, RUN_COLUMNS, VERSION


def load(session: Session, found: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Write the records of a snapshot that this database lacks.

    Args:
        session: a writing session; the caller's transaction makes it all or nothing.
        found: the records, in order.

    Returns:
        How many of each kind were new.

    Raises:
        ValueError: the records are no complete snapshot of a version that this software reads.
        ResultConflict: a run contradicts itself, or the run that has its id here.
        AlreadyExists: the name of a dataset belongs to other data here.
    """
    writers = {"dataset": _load_dataset, "track": _load_track, "run": _load_run, "reported": _load_report}
    seen, new = dict.fromkeys(KINDS, 0), dict.fromkeys(writers, 0)
    state = "empty"
    for record in found:
        kind = record.get("kind")
        if state == "empty":
            _check_head(record)
            state = "open"
        elif kind == "end":
            if record["counts"] != seen:
                raise ValueError(f"the snapshot's last record counts {record['counts']}; it has {seen}")
            state = "complete"
        elif kind in KINDS:
            seen[kind] += 1
            if kind in writers:
                new[kind] += writers[kind](session, record)
        else:
            raise ValueError(f"unknown kind of record {kind!r}; known: {', '.join(KINDS)}")
    if state != "complete":
        raise ValueError("the snapshot is incomplete: its last record is missing")
    return new


def _check_head(record: Mapping[str, Any]) -> None:
    if record.get("format") != FORMAT:
        raise ValueError(f"not a snapshot: it begins with {str(record)[:80]}")
    if record["version"] != VERSION:
        raise ValueError(
            f"the snapshot has version {record['version']}; this software reads version {VERSION}"
        )


def _load_dataset(session: Session, record: Mapping[str, Any]) -> bool:
    before = session.get(Dataset, record["name"])
    register_dataset(session, DatasetCard.model_validate(record["card"]), record["fingerprint"])
    return before is None


def _load_track(session: Session, record: Mapping[str, Any]) -> bool:
    before = session.get(TrackRow, record["slug"])
    ensure_track(session, Track.model_validate(record["spec"]))
    return before is None


def _load_run(session: Session, record: Mapping[str, Any]) -> bool:
    existing = session.get(Run, record["id"])
    if existing is not None:
        if existing.matrix_digest != record["matrix_digest"]:
            raise ResultConflict(
                f"{record['id']} has other results here: digest {existing.matrix_digest},"
                f" the snapshot has {record['matrix_digest']}"
            )
        return False
    results = [
        TaskResult(
            run_id=record["id"], attempt=record["attempt"], **{name: row[name] for name in RESULT_COLUMNS}
        )
        for row in record["results"]
    ]
    run = _new_run(session, record, results)
    _insert(session, run, results, datetime.fromisoformat(record["finished_at"]), record["counted"])
    if record["replay"] is not None:
        session.add(Replay(run_id=run.id, **record["replay"]))
    session.flush()
    return True


def _new_run(session: Session, record: Mapping[str, Any], results: Sequence[TaskResult]) -> Run:
    """The run of a record, held by its worker.

    Raises:
        ResultConflict: its entry or its digest does not follow from its spec and counts.
    """
    track = session.get_one(TrackRow, record["track"])
    spec = RunSpec.model_validate({"method": record["recipe"], "track": track.spec, "seed": record["seed"]})
    if is_submitted(spec.method):
        raise ResultConflict(
            f"{record['id']} is a run of a submitted method, which this version cannot import"
        )
    fingerprint, version = record["dataset_fingerprint"], record["engine_version"]
    entry = entry_id(spec, version, fingerprint)
    if entry != record["entry"] or digest(results) != record["matrix_digest"]:
        raise ResultConflict(
            f"{record['id']} contradicts itself: its spec has the entry {entry} and its counts the digest"
            f" {digest(results)}; the record has {record['entry']} and {record['matrix_digest']}"
        )
    return Run(
        track_slug=track.slug,
        dataset=track.dataset,
        method=spec.method.name,
        recipe_digest=spec.method.digest(),
        key=run_key(spec, version, fingerprint),
        entry_id=entry,
        queue="imported",
        priority=0,
        forced=True,
        state=RunState.running,
        charged=1,
        worker_id=record["worker"],
        lease_until=now(),
        created_at=datetime.fromisoformat(record["created_at"]),
        started_at=datetime.fromisoformat(record["started_at"]),
        **{name: record[name] for name in RUN_COLUMNS},
    )


def _insert(
    session: Session, run: Run, results: Sequence[TaskResult], finished_at: datetime, counted: bool
) -> None:
    """Insert a held run with its results, then end it: the database accepts results of held runs only."""
    session.add(run)
    session.flush()
    attempt = Attempt(
        run_id=run.id,
        number=run.attempt,
        worker_id=run.worker_id,
        device=run.device or "unknown",
        started_at=run.started_at,
        ended_at=finished_at,
        outcome=AttemptOutcome.succeeded,
    )
    session.add_all([attempt, *results])
    session.flush()
    session.execute(
        update(Run)
        .where(Run.id == run.id)
        .values(state=RunState.succeeded, lease_until=None, worker_id=None, finished_at=finished_at),
        execution_options={"synchronize_session": False},
    )
    counted = counted and _replaces_counted_run(session, run, finished_at)
    session.add_all(summaries_of(run, results, counted=counted))
    raise_revision(session, run.track_slug)


def _replaces_counted_run(session: Session, run: Run, finished_at: datetime) -> bool:
    """Whether leaderboards count an imported run: if it finished later than the one they count now."""
    mine = (Summary.entry_id == run.entry_id, Summary.seed == run.seed, Summary.counted)
    latest = session.scalars(
        select(func.max(Run.finished_at)).join(Summary, Summary.run_id == Run.id).where(*mine)
    ).one()
    if latest is not None and latest >= finished_at:
        return False
    session.execute(
        update(Summary).where(*mine).values(counted=False), execution_options={"synchronize_session": False}
    )
    return True


def _load_report(session: Session, record: Mapping[str, Any]) -> bool:
    if session.get(ReportedResult, record["id"]) is not None:
        return False
    user = accounts.imported_user(session, record["user"])
    values = {name: record[name] for name in REPORTED_COLUMNS}
    return (
        insert_if_absent(
            session,
            ReportedResult,
            user_id=user.id,
            created_at=datetime.fromisoformat(record["created_at"]),
            **values,
        )
        is not None
    )
