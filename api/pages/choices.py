"""What pages that compare offer to choose from, as long as their address names nothing."""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from api.http.parameters import Parameters
from api.pages import templating
from api.schemas.leaderboards import TrackAnswer, track_answer
from store.leaderboard.tracks import list_tracks


class ChosenTracks(Parameters):
    """Which tracks to compare methods on."""

    track: list[str] = Field(
        default_factory=list, max_length=100, description="Slugs of two or more tracks; none to choose."
    )


def tracks_with_results(session: Session) -> list[TrackAnswer]:
    """The ranked tracks with results, the one with the most entries first."""
    tracks = [track_answer(status) for status in list_tracks(session)]
    found = [track for track in tracks if track.entries and not track.for_tuning]
    return sorted(found, key=lambda track: -track.entries)


def choose_tracks(request: Request, session: Session, title: str, explanation: str) -> Response:
    """A page with a form that chooses tracks."""
    tracks = tracks_with_results(session)
    return templating.render(
        request, "choose_tracks.html", title=title, explanation=explanation, tracks=tracks
    )
