"""Tracks and their leaderboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.deps import AnswersDep, DatabaseDep, RevisionsDep, one_of
from api.exports import WRITERS
from api.http import caching, problems
from api.http.parameters import BestPerMethod, Classifier, ExemplarFree, Sort
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

FORMATS = ("json", *WRITERS)

Format = Annotated[
    str,
    one_of(*FORMATS),
    Query(description="How the leaderboard is written.", json_schema_extra={"enum": list(FORMATS)}),
]


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
        304: {"description": "Nothing has finished on this track since."},
        **documented(problems.NOT_FOUND, problems.INVALID_QUERY),
    },
)
async def read_leaderboard(
    slug: str,
    database: DatabaseDep,
    answers: AnswersDep,
    revisions: RevisionsDep,
    request: Request,
    sort: Sort = "average_accuracy",
    classifier: Classifier = None,
    exemplar_free: ExemplarFree = False,
    best_per_method: BestPerMethod = False,
    format: Format = "json",  # noqa: A002 - the parameter's public name
) -> Response:
    """The entries of a track over their seeds: mean, standard deviation and 95 % interval of every reported number, curves, memory, time."""
    asked = _Asked(slug, sort, classifier, exemplar_free, best_per_method, format)
    tag = asked.tag(await revisions.get(slug))
    if caching.holds(request, tag):
        return caching.unchanged(tag)
    if (body := answers.get(tag)) is None:
        tag, fresh = await run_in_threadpool(asked.written, database)
        answers.keep(tag, body := fresh)
    if format == "json":
        return Response(body, media_type="application/json", headers={"ETag": tag})
    _, media_type, ending = WRITERS[format]
    return Response(
        body,
        media_type=media_type,
        headers={"Content-Disposition": f'inline; filename="{_file_name(slug)}.{ending}"', "ETag": tag},
    )


@router.get("/tracks", operation_id="listTracks", responses=documented(problems.INVALID_QUERY))
def read_tracks(database: DatabaseDep) -> Tracks:
    """Every track somebody has submitted to, and the tracks of the literature that are ready to be."""
    with database.reading() as session:
        return Tracks(items=every_track(session))


@router.get(
    "/tracks/{slug}",
    operation_id="getTrack",
    responses=documented(problems.NOT_FOUND, problems.INVALID_QUERY),
)
def read_track(slug: str, database: DatabaseDep) -> TrackAnswer:
    """One track: one that was submitted to, or one that could be."""
    with database.reading() as session:
        known = next((status for status in list_tracks(session) if status.track.slug == slug), None)
        return track_answer(known) if known else untouched(slug, track_named(session, slug))


@router.get(
    "/tracks/{slug}/orders",
    operation_id="getOrderSensitivity",
    responses=documented(problems.NOT_FOUND, problems.INVALID_QUERY),
)
def read_orders(slug: str, database: DatabaseDep) -> Orders:
    """How much the order of the classes matters: every recipe that has run on this track and on one that differs in the order alone."""
    with database.reading() as session:
        track_named(session, slug)
        return Orders(items=list(order_sensitivity(session, slug)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody asks of a leaderboard."""

    slug: str
    sort: str
    classifier: str | None
    exemplar_free: bool
    best_per_method: bool
    format: str

    def tag(self, revision: str) -> str:
        return caching.weak(
            self.slug,
            self.sort,
            self.classifier,
            self.exemplar_free,
            self.best_per_method,
            self.format,
            revision,
        )

    def written(self, database: Database) -> tuple[str, bytes]:
        """Its tag and its body, of one moment."""
        with database.reading() as session:
            tag = self.tag(revision(session, self.slug))
            track = track_named(session, self.slug)
            found = entries(
                session,
                self.slug,
                self.classifier,
                sort=self.sort,
                exemplar_free=self.exemplar_free,
                best_per_method=self.best_per_method,
            )
            if self.format != "json":
                return tag, WRITERS[self.format][0](found, self.slug).encode()
            reported = beside_reported(session, self.slug, found)
        whole = Leaderboard(
            track=track,
            slug=self.slug,
            sort=self.sort,
            classifier=self.classifier,
            items=found,
            reported=reported,
        )
        return tag, whole.model_dump_json().encode()


def _file_name(slug: str) -> str:
    return slug.replace(":", "_")
