"""The whole public state as a sequence of records, and back: so that a community cannot lose its results.

Decisions:
    * A record is a dict of JSON values with its `kind`: first `snapshot`, then each `dataset`, `track`, `run`, `reported` and `entry`, last `end` with the
      number of each. What has no `end` is not whole.
    * Runs are complete: spec, counts, environment. Entries repeat what follows from the runs, for readers; loading ignores them.
    * Only what is terminal and public is told: no users but the names of those who reported results, no tokens, no log lines.
    * Every batch is read in a short transaction of its own: a slow reader holds nothing up, and what has succeeded never changes.
    * Loading writes what is not there yet and checks what is. Summaries are computed from the counts, never copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from cil_core import ENGINE_VERSION, __version__
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.jobs import RunSpec
from cil_core.spec.jobs import Track as TrackSpec
from store.access import accounts
from store.database.base import is_in
from store.database.clock import now
from store.database.errors import ResultConflict
from store.database.models import Attempt, Dataset, Replay, ReportedResult, Run, Summary, TaskResult, Track
from store.database.session import Database
from store.database.states import AttemptOutcome, RunState
from store.database.upsert import insert_if_absent
from store.datasets import register_dataset
from store.leaderboard.leaderboard import entries
from store.leaderboard.tracks import raise_revision
from store.runs import digest, ensure_track, entry_id, run_key, summaries_of

FORMAT, VERSION = "cil-snapshot", 1
KINDS = ("dataset", "track", "run", "reported", "entry")
BATCH = 200

_OF_A_RUN = (
    "id",
    "seed",
    "engine_version",
    "recipe",
    "dataset_fingerprint",
    "attempt",
    "device",
    "environment",
    "task_sizes",
    "class_order",
    "matrix_digest",
)
_OF_A_RESULT = (
    "task",
    "classifier",
    "known",
    "seen",
    "test_images",
    "correct",
    "correct_top5",
    "footprint",
    "diagnostics",
    "seconds",
)
_OF_A_REPORT = (
    "id", "track_slug", "method", "title", "citation", "link", "note", "seeds", "curve", "matrix", "average_accuracy", "last_accuracy", "forgetting",
)  # fmt: skip

Record = dict[str, Any]


def records(database: Database) -> Iterator[Record]:
    """Everything that is public, record by record."""
    counts = dict.fromkeys(KINDS, 0)
    with database.reading() as session:
        taken_at = session.scalars(select(now())).one().isoformat()
        slugs = list(session.scalars(select(Track.slug).order_by(Track.slug)))
    yield {
        "kind": "snapshot",
        "format": FORMAT,
        "version": VERSION,
        "software": __version__,
        "engine_version": ENGINE_VERSION,
        "taken_at": taken_at,
    }
    for record in _everything(database, slugs):
        counts[record["kind"]] += 1
        yield record
    yield {"kind": "end", "counts": counts}


def load(session: Session, found: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Write what a snapshot tells and this database does not have.

    Args:
        session: a writing session; the caller's transaction makes it all or nothing.
        found: the records, in order.

    Returns:
        How many of each kind were new.

    Raises:
        ValueError: these are not the records of a whole snapshot of a version this software reads.
        ResultConflict: a run contradicts itself, or the one of its id that is here.
        AlreadyExists: a dataset of that name has other data here.
    """
    writers = {"dataset": _load_dataset, "track": _load_track, "run": _load_run, "reported": _load_report}
    told, new = dict.fromkeys(KINDS, 0), dict.fromkeys(writers, 0)
    state = "empty"
    for record in found:
        kind = record.get("kind")
        if state == "empty":
            _check_head(record)
            state = "open"
        elif kind == "end":
            if record["counts"] != told:
                raise ValueError(f"the snapshot says that it has {record['counts']}; it has {told}")
            state = "whole"
        elif kind in KINDS:
            told[kind] += 1
            if kind in writers:
                new[kind] += writers[kind](session, record)
        else:
            raise ValueError(f"unknown kind of record {kind!r}; known: {', '.join(KINDS)}")
    if state != "whole":
        raise ValueError("the snapshot is not whole: its last record is missing")
    return new


def _everything(database: Database, slugs: list[str]) -> Iterator[Record]:
    with database.reading() as session:
        yield from [
            {"kind": "dataset", "name": row.name, "card": row.card, "fingerprint": row.fingerprint}
            for row in session.scalars(select(Dataset).order_by(Dataset.name))
        ]
        yield from [
            {"kind": "track", "slug": row.slug, "spec": row.spec}
            for row in session.scalars(select(Track).order_by(Track.slug))
        ]
    after = ""
    while batch := _runs(database, after):
        yield from batch
        after = batch[-1]["id"]
    with database.reading() as session:
        reports = session.scalars(
            select(ReportedResult).options(joinedload(ReportedResult.user)).order_by(ReportedResult.id)
        )
        yield from [
            {
                "kind": "reported",
                "user": row.user.name,
                "created_at": row.created_at.isoformat(),
                **_fields(row, _OF_A_REPORT),
            }
            for row in reports
        ]
    for slug in slugs:
        with database.reading() as session:
            found = entries(session, slug, limit=1_000_000)
        yield from [{"kind": "entry", **entry.model_dump(mode="json")} for entry in found]


def _runs(database: Database, after: str) -> list[Record]:
    query = (
        select(Run).where(is_in(Run.state, RunState.succeeded), Run.id > after).order_by(Run.id).limit(BATCH)
    )
    with database.reading() as session:
        found = list(
            session.scalars(
                query.options(
                    selectinload(Run.results), selectinload(Run.summaries), selectinload(Run.attempts)
                )
            )
        )
        replays = {
            row.run_id: row
            for row in session.scalars(select(Replay).where(Replay.run_id.in_([run.id for run in found])))
        }
        return [_run(run, replays.get(run.id)) for run in found]


def _run(run: Run, replay: Replay | None) -> Record:
    moments = {name: getattr(run, name).isoformat() for name in ("created_at", "started_at", "finished_at")}
    return {
        "kind": "run",
        "track": run.track_slug,
        "entry": run.entry_id,
        "method": run.method,
        **_fields(run, _OF_A_RUN),
        **moments,
        "worker": run.attempts[-1].worker_id,
        "counted": any(summary.counted for summary in run.summaries),
        "replay": _fields(replay, ("original_id", "agrees", "bitwise", "largest_difference"))
        if replay
        else None,
        "results": [_fields(row, _OF_A_RESULT) for row in run.results],
        "metrics": {summary.classifier: summary.metrics for summary in run.summaries},
    }


def _fields(row: object, names: Iterable[str]) -> Record:
    return {name: getattr(row, name) for name in names}


def _check_head(record: Mapping[str, Any]) -> None:
    if record.get("format") != FORMAT:
        raise ValueError(f"this is not a snapshot: it begins with {str(record)[:80]}")
    if record["version"] != VERSION:
        raise ValueError(
            f"the snapshot has version {record['version']}; this software reads version {VERSION}"
        )


def _load_dataset(session: Session, record: Mapping[str, Any]) -> bool:
    before = session.get(Dataset, record["name"])
    register_dataset(session, DatasetCard.model_validate(record["card"]), record["fingerprint"])
    return before is None


def _load_track(session: Session, record: Mapping[str, Any]) -> bool:
    before = session.get(Track, record["slug"])
    ensure_track(session, TrackSpec.model_validate(record["spec"]))
    return before is None


def _load_run(session: Session, record: Mapping[str, Any]) -> bool:
    there = session.get(Run, record["id"])
    if there is not None:
        if there.matrix_digest != record["matrix_digest"]:
            raise ResultConflict(
                f"{record['id']} is here with other results: digest {there.matrix_digest}, the snapshot has {record['matrix_digest']}"
            )
        return False
    track = session.get_one(Track, record["track"])
    spec = RunSpec.model_validate({"method": record["recipe"], "track": track.spec, "seed": record["seed"]})
    fingerprint, version = record["dataset_fingerprint"], record["engine_version"]
    entry = entry_id(spec, version, fingerprint)
    results = [
        TaskResult(
            run_id=record["id"], attempt=record["attempt"], **{name: row[name] for name in _OF_A_RESULT}
        )
        for row in record["results"]
    ]
    if entry != record["entry"] or digest(results) != record["matrix_digest"]:
        raise ResultConflict(
            f"{record['id']} contradicts itself: its entry is {entry} and its counts have the digest {digest(results)}; it says otherwise"
        )
    moments = {
        name: datetime.fromisoformat(record[name]) for name in ("created_at", "started_at", "finished_at")
    }
    run = Run(
        track_slug=track.slug, dataset=track.dataset, method=spec.method.name, recipe_digest=spec.method.digest(), key=run_key(spec, version, fingerprint),
        entry_id=entry, queue="imported", priority=0, forced=True, state=RunState.running, charged=1, worker_id=record["worker"], lease_until=now(),
        **{name: record[name] for name in _OF_A_RUN}, created_at=moments["created_at"], started_at=moments["started_at"],
    )  # fmt: skip
    attempt = Attempt(
        run_id=run.id, number=run.attempt, worker_id=record["worker"], device=run.device or "unknown", started_at=moments["started_at"],
        ended_at=moments["finished_at"], outcome=AttemptOutcome.succeeded,
    )  # fmt: skip
    session.add(run)
    session.flush()  # only a run that is held takes results, so that it is written as one and then ends
    session.add_all([attempt, *results])
    session.flush()
    ended = {
        "state": RunState.succeeded,
        "lease_until": None,
        "worker_id": None,
        "finished_at": moments["finished_at"],
    }
    session.execute(
        update(Run).where(Run.id == run.id).values(**ended), execution_options={"synchronize_session": False}
    )
    session.add_all(
        summaries_of(
            run, results, counted=record["counted"] and _takes_its_seed(session, run, moments["finished_at"])
        )
    )
    raise_revision(session, track.slug)
    if record["replay"] is not None:
        session.add(Replay(run_id=run.id, **record["replay"]))
    session.flush()
    return True


def _takes_its_seed(session: Session, run: Run, finished_at: datetime) -> bool:
    """Whether leaderboards count an imported run: if it finished later than the one they count for its seed now."""
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
    values = {name: record[name] for name in _OF_A_REPORT}
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
