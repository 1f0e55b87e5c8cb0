"""Submitting a job: new runs, shared runs, reused runs.

Decisions:
    * A run's *key* is the digest of everything that its result depends on: spec, engine version, and the
      fingerprint of registered data. A succeeded run with the same key is reused, an unfinished one is
      shared; `force` repeats it.
    * A partial unique index allows one live run per key, so that concurrent equal submissions share one run.
      Runs are placed in the order of their keys, so that two submissions cannot deadlock.
    * A run's *entry* is the same without the seed: one row of a leaderboard.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.orm import Session

from cil_core.spec.base import canonical_json
from cil_core.spec.jobs import JobSpec, RunSpec, Track
from store.celery_config import DEFAULT_QUEUE
from store.database.base import is_in
from store.database.clock import now
from store.database.ids import new_id, new_ids
from store.database.json_type import sanitised
from store.database.models import Job, JobRun, Replay, Run, TrackRow
from store.database.states import JobState, RunState
from store.database.upsert import insert_if_absent
from store.runs.events import append
from store.runs.job_state import update_job_states

_PLACEMENTS = 20

_NOW = select(now())
_LIVE = (
    select(Run)
    .where(
        Run.key == bindparam("run_key"),
        is_in(Run.state, RunState.queued, RunState.running) & ~Run.cancel_requested,
    )
    .order_by(Run.id)
    .limit(1)
    .with_for_update()
)
_SUCCEEDED = (
    select(Run)
    .where(
        Run.key == bindparam("run_key"),
        is_in(Run.state, RunState.succeeded),
        ~exists().where(Replay.run_id == Run.id),
    )
    .order_by(Run.finished_at.desc(), Run.id.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class _Planned:
    """One of the runs of a job."""

    id: str
    position: int
    spec: RunSpec
    key: str
    entry_id: str


def submit(
    session: Session,
    spec: JobSpec,
    *,
    user_id: str | None,
    engine_version: str,
    priority: int = 0,
    force: bool = False,
    dataset_fingerprint: str | None = None,
    queue: str = DEFAULT_QUEUE,
) -> Job:
    """Accept a job.

    Args:
        session: a writing session.
        spec: the job, already checked.
        user_id: the submitter.
        engine_version: of the engine that will run it.
        priority: runs of higher priority go first among those of the user.
        force: repeat runs that have succeeded before.
        dataset_fingerprint: of registered data; None for a built-in dataset.
        queue: the queue of its new runs.

    Returns:
        The job, with `links` and their `run`s loaded; a link's `reused` says that its run existed before.
    """
    ensure_track(session, spec.track)
    job = _new_job(spec, user_id=user_id, engine_version=engine_version, priority=priority, forced=force)
    job.created_at = session.scalars(_NOW).one()  # of its runs too: workers claim them in the order of seeds
    session.add(job)
    for planned in sorted(_plan(spec, engine_version, dataset_fingerprint), key=lambda planned: planned.key):
        job.links.append(_place(session, planned, job, queue, dataset_fingerprint))
    session.flush()
    job.links.sort(key=lambda link: link.position)
    _record_submission(session, job)
    session.refresh(job, ["state", "last_sequence", "finished_at"])
    return job


def _record_submission(session: Session, job: Job) -> None:
    """Append the event of a job's submission, and derive the state of a job with reused runs."""
    runs = [{"run": link.run_id, "seed": link.run.seed, "reused": link.reused} for link in job.links]
    append(session, [job.id], "job_submitted", {"runs": runs})
    if any(link.reused for link in job.links):  # new runs are queued, as the job is
        update_job_states(session, [job.id])


def _new_job(spec: JobSpec, *, user_id: str | None, engine_version: str, priority: int, forced: bool) -> Job:
    return Job(
        id=new_id("job"),
        user_id=user_id,
        track_slug=spec.track.slug,
        method=spec.method.name,
        recipe_digest=spec.method.digest(),
        name=sanitised(spec.name),
        spec=spec.model_dump(mode="json"),
        engine_version=engine_version,
        priority=priority,
        forced=forced,
        state=JobState.queued,
        links=[],
    )


def run_key(spec: RunSpec, engine_version: str, dataset_fingerprint: str | None) -> str:
    """Digest of everything that the result of a run depends on."""
    return _digest({"spec": spec.digest(), "engine": engine_version, "data": dataset_fingerprint})


def entry_id(spec: JobSpec | RunSpec, engine_version: str, dataset_fingerprint: str | None) -> str:
    """The leaderboard entry of a run, e.g. `ent_3f…`: the same for every seed."""
    parts = {
        "track": spec.track.digest(),
        "recipe": spec.method.digest(),
        "engine": engine_version,
        "data": dataset_fingerprint,
    }
    return f"ent_{_digest(parts)[:24]}"


def _digest(value: dict[str, str | None]) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _plan(spec: JobSpec, engine_version: str, fingerprint: str | None) -> list[_Planned]:
    entry, ids = entry_id(spec, engine_version, fingerprint), new_ids("run", len(spec.seeds))
    return [
        _Planned(run_id, position, run, run_key(run, engine_version, fingerprint), entry)
        for position, (run_id, run) in enumerate(zip(ids, spec.runs(), strict=True))
    ]


def ensure_track(session: Session, track: Track) -> None:
    """Insert a track if it is missing.

    Raises:
        ValueError: its slug belongs to another track.
    """
    known = session.get(TrackRow, track.slug)
    if known is None:
        values = {
            "digest": track.digest(),
            "dataset": track.dataset,
            "backbone": track.backbone,
            "spec": track.model_dump(mode="json"),
        }
        known = insert_if_absent(session, TrackRow, slug=track.slug, **values) or session.get(
            TrackRow, track.slug
        )
    if known is None or known.digest != track.digest():
        raise ValueError(
            f"the slug {track.slug!r} belongs to another track;"
            " explicit class orders must differ in their hash"
        )


def _place(session: Session, planned: _Planned, job: Job, queue: str, fingerprint: str | None) -> JobRun:
    """Find or create the run of one seed, and link it to the job."""
    for _ in range(_PLACEMENTS):
        existing = None
        if not job.forced:
            existing = _live(session, planned.key, job.priority) or _succeeded(session, planned.key)
        if run := existing or _insert(session, planned, job, queue, fingerprint):
            reused = existing is not None
            return JobRun(run_id=run.id, run=run, position=planned.position, reused=reused, withdrawn=False)
    raise RuntimeError(
        f"could not place a run after {_PLACEMENTS} tries:"
        f" other runs with the key {planned.key} kept appearing and ending"
    )


def _live(session: Session, key: str, priority: int) -> Run | None:
    # The lock keeps a concurrent cancellation from ending the run between this look and the link to it.
    run = session.scalars(
        _LIVE, {"run_key": key}, execution_options={"populate_existing": True}
    ).one_or_none()
    if run and run.state is RunState.queued and run.priority < priority:
        session.execute(update(Run).where(Run.id == run.id).values(priority=priority))
    return run


def _succeeded(session: Session, key: str) -> Run | None:
    return session.scalars(_SUCCEEDED, {"run_key": key}).one_or_none()


def _insert(session: Session, planned: _Planned, job: Job, queue: str, fingerprint: str | None) -> Run | None:
    spec = planned.spec
    return insert_if_absent(
        session,
        Run,
        id=planned.id,
        key=planned.key,
        entry_id=planned.entry_id,
        track_slug=job.track_slug,
        method=job.method,
        seed=spec.seed,
        recipe_digest=job.recipe_digest,
        recipe=spec.method.model_dump(mode="json"),
        engine_version=job.engine_version,
        dataset=spec.track.dataset,
        dataset_fingerprint=fingerprint,
        queue=queue,
        owner=job.user_id or "",
        priority=job.priority,
        forced=job.forced,
        created_at=job.created_at,
    )
