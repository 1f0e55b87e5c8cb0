"""Everything that is public, record by record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from cil_core import ENGINE_VERSION, __version__
from store.database.base import is_in
from store.database.clock import now
from store.database.models import Dataset, Replay, ReportedResult, Run, TrackRow
from store.database.session import Database
from store.database.states import RunState
from store.leaderboard.leaderboard import entries
from store.snapshot.record_format import (
    FORMAT,
    KINDS,
    REPORTED_COLUMNS,
    RESULT_COLUMNS,
    RUN_COLUMNS,
    VERSION,
    Record,
)

BATCH = 200


def records(database: Database) -> Iterator[Record]:
    """Everything that is public, record by record."""
    counts = dict.fromkeys(KINDS, 0)
    with database.reading() as session:
        taken_at = session.scalars(select(now())).one().isoformat()
        slugs = list(session.scalars(select(TrackRow.slug).order_by(TrackRow.slug)))
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


def _everything(database: Database, slugs: list[str]) -> Iterator[Record]:
    with database.reading() as session:
        yield from [
            {"kind": "dataset", "name": row.name, "card": row.card, "fingerprint": row.fingerprint}
            for row in session.scalars(select(Dataset).order_by(Dataset.name))
        ]
        yield from [
            {"kind": "track", "slug": row.slug, "spec": row.spec}
            for row in session.scalars(select(TrackRow).order_by(TrackRow.slug))
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
                **_fields(row, REPORTED_COLUMNS),
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
        **_fields(run, RUN_COLUMNS),
        **moments,
        "worker": run.attempts[-1].worker_id,
        "counted": any(summary.counted for summary in run.summaries),
        "replay": _fields(replay, ("original_id", "agrees", "bitwise", "largest_difference"))
        if replay
        else None,
        "results": [_fields(row, RESULT_COLUMNS) for row in run.results],
        "metrics": {summary.classifier: summary.metrics for summary in run.summaries},
    }


def _fields(row: object, names: Iterable[str]) -> Record:
    return {name: getattr(row, name) for name in names}
