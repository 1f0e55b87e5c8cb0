"""The API's reference as a page, the types of problems, and other addresses that readers try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from api.http.links import url
from api.http.problems import KINDS
from api.http.strict_requests import StrictRoute
from api.pages import templating

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

ALIASES = {
    "/tracks": "/",
    "/leaderboards": "/",
    "/leaderboard": "/",
    "/home": "/",
    "/index.html": "/",
    "/runs": "/jobs",
    "/results": "/",
    "/queue": "/workers#queues",
    "/queues": "/workers#queues",
    "/suites": "/datasets#suites",
    "/backbones": "/datasets#backbones",
    "/docs": "/api",
    "/redoc": "/api",
    "/swagger": "/api",
    "/help": "/api",
    "/api/v1": "/api",
    "/openapi.json": "/api/v1/openapi.json",
    "/favicon.ico": "/static/icon.svg",
}
"""Addresses that readers guess, and the pages that answer them."""


class Operation(NamedTuple):
    """A route of the API."""

    tag: str
    method: str
    path: str
    summary: str


@router.get("/api")
def reference(request: Request) -> Response:
    """Every route of the API."""
    operations = list(operations_of(request.app.openapi()))
    return templating.render(request, "reference.html", operations=operations)


@router.get("/problems")
def problem_types(request: Request) -> Response:
    """Every type of problem."""
    return templating.render(request, "problem_types.html", kinds=KINDS.values())


@router.get("/leaderboards/{slug}")
def leaderboard(request: Request, slug: str) -> Response:
    """The page of a track under the name that the API gives it."""
    return RedirectResponse(url(request, f"/tracks/{slug}"))


def operations_of(document: Mapping[str, Any]) -> Iterator[Operation]:
    """The operations of an OpenAPI document, grouped by tag."""
    found = [
        Operation(operation.get("tags", ["other"])[0], method.upper(), path, _summary(operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return iter(sorted(found, key=lambda one: one.tag))


def _summary(operation: Mapping[str, Any]) -> str:
    """The first line of an operation's description, which says what it does."""
    text: str = operation.get("description") or operation.get("summary", "")
    return text.partition("\n")[0]


def _redirect(target: str) -> Any:
    def answer(request: Request) -> Response:
        return RedirectResponse(url(request, target))

    return answer


for _alias, _target in ALIASES.items():
    router.add_api_route(_alias, _redirect(_target), methods=["GET"])
