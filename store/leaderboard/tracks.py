"""The tracks, and how many entries and runs each has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, bindparam, func, select, text, update
from sqlalchemy.orm import Session

from store.database.errors import NotFound
from store.database.models import ReportedResult, Summary, TrackRow


@dataclass(frozen=True, slots=True)
class TrackStatus:
    """A track with the number of its entries and of the runs they count."""

    track: TrackRow
    entries: int
    runs: int


def get_track(session: Session, slug: str) -> TrackRow:
    """A track with at least one job.

    Raises:
        NotFound: no job has been submitted to it.
    """
    track = session.get(TrackRow, slug)
    if track is None:
        raise NotFound(f"the track {slug!r} has no jobs yet")
    return track


def similar_tracks(
    session: Session, slug: str, apart_from: Callable[[dict[str, Any]], object]
) -> tuple[str, ...]:
    """The tracks that equal this one in the compared part, by slug. It is one of them; empty without another.

    Args:
        session: any session.
        slug: the track.
        apart_from: maps a track's spec to the part that must be equal.
    """
    track = session.get(TrackRow, slug)
    if track is None:
        return ()
    wanted = apart_from(track.spec)
    of_dataset = session.scalars(
        select(TrackRow).where(TrackRow.dataset == track.dataset).order_by(TrackRow.slug)
    )
    same = tuple(other.slug for other in of_dataset if apart_from(other.spec) == wanted)
    return same if len(same) > 1 else ()


def without(spec: dict[str, Any], *names: str) -> dict[str, Any]:
    """A spec, or a part of one, without these fields."""
    return {name: value for name, value in spec.items() if name not in names}


_SLUG = bindparam("slug", type_=String)
_REVISION = select(
    select(TrackRow.revision).where(TrackRow.slug == _SLUG).scalar_subquery(),
    select(func.count())
    .select_from(ReportedResult)
    .where(ReportedResult.track_slug == _SLUG)
    .scalar_subquery(),
    select(func.max(ReportedResult.id)).where(ReportedResult.track_slug == _SLUG).scalar_subquery(),
)
"""Built once, since every view of a leaderboard executes it."""


def revision(session: Session, slug: str) -> str:
    """A value that changes with the leaderboard.

    Finished runs, replays included, and user reports change it.
    """
    return "-".join(str(part) for part in session.execute(_REVISION, {"slug": slug}).one())


def raise_revision(session: Session, slug: str) -> None:
    """Record that the leaderboard of a track changes."""
    raised = update(TrackRow).where(TrackRow.slug == slug).values(revision=TrackRow.revision + 1)
    session.execute(raised, execution_options={"synchronize_session": False})


def list_tracks(session: Session) -> list[TrackStatus]:
    """Every track with at least one job, by slug."""
    counted = select(Summary.track_slug, func.count(Summary.entry_id.distinct()), func.count()).where(
        text("summaries.counted AND summaries.ranking")
    )
    counts = {
        slug: (entries, runs) for slug, entries, runs in session.execute(counted.group_by(Summary.track_slug))
    }
    return [
        TrackStatus(track, *counts.get(track.slug, (0, 0)))
        for track in session.scalars(select(TrackRow).order_by(TrackRow.slug))
    ]
