"""What pages that compare offer to choose from."""

from __future__ import annotations

from sqlalchemy.orm import Session

from api.schemas.leaderboards import TrackAnswer, track_answer
from store.leaderboard.tracks import list_tracks


def every_result_track(session: Session) -> list[TrackAnswer]:
    """The ranked tracks with results, the one with the most entries first."""
    tracks = [track_answer(status) for status in list_tracks(session)]
    found = [track for track in tracks if track.entries and not track.for_tuning]
    return sorted(found, key=lambda track: -track.entries)
