"""Problems as pages: what a browser gets instead of problem+json, and the page of each problem's `type`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.http.problems import KINDS, Problem, not_found
from api.http.strict_requests import StrictRoute
from api.pages import templating

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


def render(request: Request, problem: Problem) -> Response:
    """A problem as the answer to a browser."""
    answer = templating.render(request, "problem.html", problem.status_code, problem=problem)
    answer.headers.update(problem.headers or {})
    return answer


@router.get("/problems/{slug}")
def explain(request: Request, slug: str) -> Response:
    """What a type of problem means and what to do about it."""
    if slug not in KINDS:
        raise not_found("problem type", slug)
    return templating.render(request, "problem_type.html", kind=KINDS[slug])
