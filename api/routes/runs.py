"""Reading and replaying a run."""

from __future__ import annotations

from fastapi import APIRouter, BackgroundTasks, Request, Response

from api.deps import DatabaseDep, Reader, RingerDep, Submitter
from api.http import caching, problems
from api.http.idempotent import REPLAYED, IdempotencyKey
from api.http.links import locate
from api.http.parameters import RunId
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from api.schemas.jobs import JobAnswer
from api.schemas.runs import RunAnswer, run_answer
from api.submission import SubmissionsDep
from store.access.accounts import Scope
from store.queries.runs import get_run, submitters
from store.runs import lineage

router = APIRouter(prefix="/runs", tags=["runs"], route_class=StrictRoute)


@router.get(
    "/{run_id}",
    operation_id="getRun",
    response_model=RunAnswer,
    responses={
        304: {"description": "The run has ended and matches the caller's copy."},
        **documented(problems.NOT_FOUND, problems.INVALID_QUERY, problems.UNAUTHENTICATED),
    },
)
def read_run(
    run_id: RunId, reader: Reader, database: DatabaseDep, request: Request, response: Response
) -> RunAnswer | Response:
    """A run: metrics, accuracy matrices, footprint, environment and attempts so far.

    A finished run has a strong ETag. With the token of a submitter or an administrator, the response includes
    the last lines of the log and tracebacks.
    """
    with database.reading() as session:
        run = get_run(session, run_id)
        whole = reader is not None and (
            reader.may(Scope.admin) or reader.user_id in submitters(session, run_id)
        )
        family = lineage(session, run_id)
    response.headers["Vary"] = "Authorization"
    if run.state.is_terminal:
        tag = caching.strong(run.id, whole, *(f"{row.run_id}{row.agrees}" for row in family.replays))
        if caching.holds(request, tag):
            return caching.unchanged(tag)
        response.headers["ETag"] = tag
    return run_answer(run, family, whole)


@router.post(
    "/{run_id}/replay",
    status_code=202,
    operation_id="replayRun",
    responses={
        202: {
            "description": "Accepted; `Location` is the address of the job",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **documented(
            problems.UNAUTHENTICATED,
            problems.FORBIDDEN,
            problems.NOT_FOUND,
            problems.NOT_REPLAYABLE,
            problems.INVALID_QUERY,
            problems.TOO_MANY_RUNS,
            *problems.OF_A_KEY,
        ),
    },
)
async def replay_run(
    principal: Submitter,
    run_id: RunId,
    request: Request,
    response: Response,
    background: BackgroundTasks,
    ringer: RingerDep,
    submissions: SubmissionsDep,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Execute a finished run again, as a new job, to check that it reproduces the results; never ranked.

    In the same environment every count must match. On another device, no point of an accuracy curve may
    differ by more than 0.02.
    """
    accepted = await submissions.replay(principal, run_id, idempotency_key)
    background.add_task(ringer.ring, accepted.queues)
    response.headers.update(REPLAYED[accepted.replayed])
    locate(request, response, accepted.path)
    return accepted.job
