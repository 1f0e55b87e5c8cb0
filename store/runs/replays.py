"""Replays: repetitions of a finished run, to check that its results are reproducible.

Decisions:
    * A replay is an ordinary run of an ordinary job with a row in `replays`. Leaderboards never count it.
    * The replay agrees bitwise if all counts are equal. Otherwise it agrees if every point of every accuracy
      curve is within `TOLERANCE` of the original's, unless both ran in equal environments: there the engine
      promises equal bits.
    * Only the engine version that made a run replays it. Another version may compute another result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from cil_core.spec.jobs import JobSpec
from cil_core.spec.metrics import AccuracyMatrix
from store.database.errors import NotReplayable
from store.database.models import Job, Replay, Run, TaskResult
from store.database.states import RunState
from store.datasets import fingerprint_of
from store.queries.runs import get_run
from store.runs.submission import submit
from store.runs.summaries import matrices

TOLERANCE = 0.02
"""Largest difference of a point of an accuracy curve on another device: two percentage points."""

_SAME_BITS = ("device_name", "torch", "cuda", "cudnn", "threads", "compiled")
"""Environments that are equal in these compute equal bits; a missing value means the default."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The run that a run repeats, and the runs that repeat it."""

    replay_of: str | None
    replays: tuple[Replay, ...]


def replay(session: Session, run_id: str, *, user_id: str | None, engine_version: str) -> Job:
    """Submit a repetition of a finished run.

    Args:
        session: a writing session.
        run_id: the run to repeat; of a replay, its original is repeated.
        user_id: the submitter.
        engine_version: of the engine that will run it.

    Returns:
        A job with one run, as `store.runs.submission.submit` returns it.

    Raises:
        NotFound: no run has this id.
        NotReplayable: the run has not succeeded, or the engine or the data have changed.
    """
    earlier = session.get(Replay, run_id)
    original = get_run(session, earlier.original_id if earlier else run_id)
    fingerprint = fingerprint_of(session, original.dataset)
    _check_replayable(original, engine_version, fingerprint)
    spec = JobSpec.model_validate(
        {
            "method": original.recipe,
            "track": original.track.spec,
            "seeds": [original.seed],
            "name": f"Replay of {original.id}",
        }
    )
    job = submit(
        session,
        spec,
        user_id=user_id,
        engine_version=engine_version,
        force=True,
        dataset_fingerprint=fingerprint,
        queue=original.queue,
    )
    session.add(Replay(run_id=job.links[0].run_id, original_id=original.id))
    session.flush()
    return job


def _check_replayable(original: Run, engine_version: str, fingerprint: str | None) -> None:
    if original.state is not RunState.succeeded:
        raise NotReplayable(f"{original.id} is {original.state}; only a run that succeeded can be replayed")
    if original.engine_version != engine_version:
        raise NotReplayable(
            f"engine version {original.engine_version} made {original.id};"
            f" this service runs version {engine_version}"
        )
    if original.dataset_fingerprint != fingerprint:
        raise NotReplayable(
            f"{original.dataset} is no longer the data of {original.id}"
            f" (fingerprint {original.dataset_fingerprint})"
        )


def compare_with_original(
    session: Session, run: Run, rows: Sequence[TaskResult], digest: str, environment: Mapping[str, object]
) -> bool:
    """Compare a run that is about to succeed with its original, if it is a replay.

    Args:
        session: a writing session.
        run: the run.
        rows: all its results.
        digest: of its counts.
        environment: where it ran.

    Returns:
        Whether it is a replay.
    """
    verdict = session.get(Replay, run.id)
    if verdict is None:
        return False
    original = get_run(session, verdict.original_id)
    if run.engine_version != original.engine_version:
        return True  # the workers were upgraded meanwhile: a difference would prove nothing
    verdict.bitwise = digest == original.matrix_digest
    verdict.largest_difference = 0.0 if verdict.bitwise else _largest_difference(rows, original.results)
    verdict.agrees = verdict.bitwise or (
        not _same_bits(environment, original.environment or {}) and verdict.largest_difference <= TOLERANCE
    )
    return True


def lineage(session: Session, run_id: str) -> Lineage:
    """The original of a run, and its replays, the oldest first."""
    own = session.get(Replay, run_id)
    repeating = session.scalars(
        select(Replay).where(Replay.original_id == run_id).order_by(Replay.created_at, Replay.run_id)
    )
    return Lineage(own.original_id if own else None, tuple(repeating))


def _same_bits(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return all((one.get(name) or None) == (other.get(name) or None) for name in _SAME_BITS)


def _largest_difference(rows: Sequence[TaskResult], others: Sequence[TaskResult]) -> float:
    mine, theirs = _curves(rows), _curves(others)
    return max(float(np.abs(mine[classifier] - theirs[classifier]).max()) for classifier in mine)


def _curves(rows: Sequence[TaskResult]) -> dict[str, NDArray[np.float64]]:
    return {
        name: AccuracyMatrix([row.correct for row in found], found[-1].test_images).curve
        for name, found in matrices(rows).items()
    }
