"""Tracks and their leaderboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.deps import AnswersDep, DatabaseDep, RevisionsDep
from api.exports import WRITERS
from api.http import caching, problems
from api.http.parameters import LeaderboardFileParameters
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from api.schemas.leaderboards import (
    Leaderboard,
    Orders,
    TrackAnswer,
    Tracks,
    beside_reported,
    every_track,
    track_answer,
    track_named,
    untouched,
)
from store.database.session import Database
from store.leaderboard.class_orders import order_sensitivity
from store.leaderboard.leaderboard import entries
from store.leaderboard.tracks import list_tracks, revision

router = APIRouter(tags=["leaderboards"], route_class=StrictRoute)


@router.get(
    "/leaderboards/{slug}",
    operation_id="getLeaderboard",
    response_model=Leaderboard,
    responses={
        200: {
            "description": "The leaderboard",
            "content": {
                media.partition(";")[0]: {"schema": {"type": "string"}} for _, media, _ in WRITERS.values()
            },
        },
        304: {"description": "No run has finished on this track since."},
        **documented(problems.NOT_FOUND, problems.INVALID_QUERY),
    },
)
async def read_leaderboard(
    slug: str,
    database: DatabaseDep,
    answers: AnswersDep,
    revisions: RevisionsDep,
    request: Request,
    query: Annotated[LeaderboardFileParameters, Query()],
) -> Response:
    """The entries of a track: mean, standard deviation and 95 % interval over seeds, curves, memory, time."""
    board = _Board(slug, query)
    tag = board.tag(await revisions.get(slug))
    if caching.holds(request, tag):
        return caching.unchanged(tag)
    if (body := answers.get(tag)) is None:
        tag, fresh = await run_in_threadpool(board.render, database)
        answers.keep(tag, body := fresh)
    if query.format == "json":
        return Response(body, media_type="application/json", headers={"ETag": tag})
    _, media_type, ending = WRITERS[query.format]
    disposition = f'inline; filename="{slug.replace(":", "_")}.{ending}"'
    headers = {"Content-Disposition": disposition, "ETag": tag}
    return Response(body, media_type=media_type, headers=headers)


@router.get("/tracks", operation_id="listTracks", responses=documented(problems.INVALID_QUERY))
def read_tracks(database: DatabaseDep) -> Tracks:
    """Every track with submissions, and the preset tracks."""
    with database.reading() as session:
        return Tracks(items=every_track(session))


@router.get(
    "/tracks/{slug}",
    operation_id="getTrack",
    responses=documented(problems.NOT_FOUND, problems.INVALID_QUERY),
)
def read_track(slug: str, database: DatabaseDep) -> TrackAnswer:
    """A track, with or without submissions."""
    with database.reading() as session:
        known = next((status for status in list_tracks(session) if status.track.slug == slug), None)
        return track_answer(known) if known else untouched(slug, track_named(session, slug))


@router.get(
    "/tracks/{slug}/orders",
    operation_id="getOrderSensitivity",
    responses=documented(problems.NOT_FOUND, problems.INVALID_QUERY),
)
def read_orders(slug: str, database: DatabaseDep) -> Orders:
    """Sensitivity to the class order: recipes with runs in this order and in others."""
    with database.reading() as session:
        track_named(session, slug)
        return Orders(items=list(order_sensitivity(session, slug)))


@dataclass(frozen=True, slots=True)
class _Board:
    """One view of a track's leaderboard."""

    slug: str
    query: LeaderboardFileParameters

    def tag(self, revision: str) -> str:
        return caching.weak(self.slug, *self.query.model_dump().values(), revision)

    def render(self, database: Database) -> tuple[str, bytes]:
        """Its tag and its body, read in one transaction."""
        query = self.query
        with database.reading() as session:
            tag = self.tag(revision(session, self.slug))
            track = track_named(session, self.slug)
            found = entries(
                session,
                self.slug,
                query.classifier,
                sort=query.sort,
                exemplar_free=query.exemplar_free,
                best_per_method=query.best_per_method,
            )
            if query.format != "json":
                return tag, WRITERS[query.format][0](found, self.slug).encode()
            reported = beside_reported(session, self.slug)
        whole = Leaderboard(
            track=track,
            slug=self.slug,
            sort=query.sort,
            classifier=query.classifier,
            items=found,
            reported=reported,
        )
        return tag, whole.model_dump_json().encode()
