"""Which tracks there are, and how much stands on each."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from store.errors import NotFound
from store.models import Summary, Track


@dataclass(frozen=True, slots=True)
class TrackStatus:
    """A track with the number of its entries and of the runs they count."""

    track: Track
    entries: int
    runs: int


def get_track(session: Session, slug: str) -> Track:
    """A track somebody has submitted to.

    Raises:
        NotFound: nobody has.
    """
    track = session.get(Track, slug)
    if track is None:
        raise NotFound(f"nobody has submitted to a track {slug!r} yet")
    return track


def revision(session: Session, slug: str) -> int:
    """A number that rises whenever the leaderboard of a track changes: results are only ever added."""
    return session.scalars(select(func.count()).select_from(Summary).where(Summary.track_slug == slug)).one()


def list_tracks(session: Session) -> list[TrackStatus]:
    """Every track somebody has submitted to, by slug."""
    on = (Summary.track_slug == Track.slug, text("summaries.counted AND summaries.ranking"))
    entries = select(func.count(Summary.entry_id.distinct())).where(*on).scalar_subquery()
    runs = select(func.count(Summary.run_id)).where(*on).scalar_subquery()
    return [TrackStatus(*row) for row in session.execute(select(Track, entries, runs).order_by(Track.slug))]
