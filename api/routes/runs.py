"""One run: its results, environment and attempts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api import caching, problems
from api.answers.runs import RunAnswer, run_answer
from api.deps import DatabaseDep, Reader
from api.problems import documented
from api.strict import StrictRoute
from store.accounts import Scope
from store.results import get_run, submitters

router = APIRouter(prefix="/runs", tags=["runs"], route_class=StrictRoute)

RunId = Annotated[str, Path(pattern=r"^run_[0-9a-z]{26}$", description="A run's id.", examples=["run_01k9x3v8h2m4n6p8q0r2s4t6v8"])]


@router.get(
    "/{run_id}",
    operation_id="getRun",
    response_model=RunAnswer,
    responses={
        304: {"description": "The run has ended and is as the caller has it."},
        **documented(problems.NOT_FOUND, problems.INVALID_QUERY, problems.UNAUTHENTICATED),
    },
)
def read_run(run_id: RunId, reader: Reader, database: DatabaseDep, request: Request, response: Response) -> RunAnswer | Response:
    """Metrics, accuracy matrices, footprint, environment and attempts of a run, as far as it has come; a finished one with a strong ETag.

    With the token of who submitted it, or of an administrator, also the last lines of its log and tracebacks.
    """
    with database.reading() as session:
        run = get_run(session, run_id)
        whole = reader is not None and (reader.may(Scope.admin) or reader.user_id in submitters(session, run_id))
    response.headers["Vary"] = "Authorization"
    if run.state.is_terminal:
        tag = caching.strong(run.id, whole)
        if caching.holds(request, tag):
            return caching.unchanged(tag)
        response.headers["ETag"] = tag
    return run_answer(run, whole)
