"""Methods, datasets and workers as pages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.deps import DatabaseDep
from api.http.problems import not_found
from api.http.strict_requests import StrictRoute
from api.pages import method_filters, templating
from api.pages.method_filters import MethodFilters
from api.pages.proposals import first_job
from api.schemas.catalog import recipe_named
from api.schemas.leaderboards import every_track
from cil_core.spec.catalog import BACKBONES, WEIGHTS
from cil_core.spec.recipes import RECIPES
from cil_core.spec.recipes.base import Recipe
from cil_core.spec.suites import SUITES
from store.datasets import dataset_cards
from store.leaderboard.leaderboard import entries
from store.leaderboard.tracks import list_tracks
from store.queries.queues import queues, retrying_runs
from store.runs import list_workers

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


@router.get("/methods")
def methods(request: Request, query: Annotated[MethodFilters, Query()]) -> Response:
    """Every method, or those that pass the filters."""
    return templating.render(
        request,
        "methods.html",
        recipes=query.apply(RECIPES),
        name_of=name_of,
        given=query,
        choices=method_filters,
        address=request.url.path,
    )


@router.get("/methods/{name}")
def method(request: Request, name: str, database: DatabaseDep) -> Response:
    """One method: description, hyper-parameters with the source of each default, results on every track."""
    recipe = recipe_named(name)
    with database.reading() as session:
        found = {status.track.slug: entries(session, status.track.slug) for status in list_tracks(session)}
    results = [entry for board in found.values() for entry in board if entry.method == name]
    return templating.render(
        request,
        "method.html",
        recipe=recipe,
        name=name,
        hyperparameters=hyperparameters(recipe),
        results=results,
        proposal=first_job(name),
        keeps=method_filters.keeps(recipe),
        costs=method_filters.costs(recipe),
    )


@router.get("/datasets")
def datasets(request: Request, database: DatabaseDep) -> Response:
    """Datasets, backbones and the tracks made of them."""
    with database.reading() as session:
        cards = list(dataset_cards(session).values())
        tracks = every_track(session)
    return templating.render(
        request,
        "datasets.html",
        cards=cards,
        backbones=list(BACKBONES.values()),
        weights=list(WEIGHTS.values()),
        tracks=tracks,
        suites=SUITES.values(),
    )


@router.get("/datasets/{name}")
def dataset(request: Request, name: str, database: DatabaseDep) -> Response:
    """One dataset: its images, licence and tracks."""
    with database.reading() as session:
        card = dataset_cards(session).get(name)
        if card is None:
            raise not_found("dataset", name)
        tracks = [track for track in every_track(session) if track.spec.dataset == name]
    return templating.render(request, "dataset.html", card=card, tracks=tracks)


@router.get("/workers")
def workers(request: Request, database: DatabaseDep) -> Response:
    """Workers with their runs, and the queues."""
    with database.reading() as session:
        return templating.render(
            request,
            "workers.html",
            workers=list_workers(session),
            queues=queues(session),
            setbacks=retrying_runs(session),
            refresh=5,
        )


def hyperparameters(recipe: type[Recipe]) -> list[tuple[str, Any, str]]:
    """Name, default and source of every hyper-parameter."""
    published = recipe.published()
    return [
        (name, getattr(published, name), field.description or "")
        for name, field in recipe.model_fields.items()
        if name != "name"
    ]


def name_of(recipe: type[Recipe]) -> str:
    """The name by which it is submitted."""
    return str(recipe.model_fields["name"].default)
