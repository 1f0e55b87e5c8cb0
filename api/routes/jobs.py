"""Submitting, listing, reading and cancelling jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Body, Query, Request, Response

from api.deps import CursorsDep, DatabaseDep, RingerDep, Submitter
from api.examples import JOBS
from api.http import problems
from api.http.cursors import link_next
from api.http.idempotent import REPLAYED, IdempotencyKey
from api.http.links import locate
from api.http.parameters import JobId, JobsParameters, SubmissionParameters
from api.http.problems import documented
from api.http.strict_requests import StrictRoute
from api.schemas.jobs import JobAnswer, Jobs, job_answer, job_brief
from api.submission import SubmissionsDep
from cil_core.spec.jobs import JobSpec
from store.queries.jobs import get_job, list_jobs
from store.queries.positions import queue_position

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=StrictRoute)


@router.post(
    "",
    status_code=202,
    operation_id="submitJob",
    responses={
        200: {
            "model": JobAnswer,
            "description": "The results of every run existed already; nothing is executed",
        },
        202: {
            "description": "Accepted; `Location` is the address of the job",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **documented(
            problems.UNAUTHENTICATED,
            problems.FORBIDDEN,
            problems.INVALID_QUERY,
            problems.TOO_MANY_RUNS,
            *problems.OF_A_BODY,
            *problems.OF_A_KEY,
        ),
    },
)
async def submit_job(
    principal: Submitter,
    spec: Annotated[JobSpec, Body(openapi_examples=JOBS)],
    request: Request,
    response: Response,
    background: BackgroundTasks,
    ringer: RingerDep,
    submissions: SubmissionsDep,
    query: Annotated[SubmissionParameters, Query()],
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Submit a method on a track: one run per seed."""
    accepted = await submissions.submit(principal, spec, idempotency_key, force=query.force)
    background.add_task(ringer.ring, accepted.queues)
    response.headers.update(REPLAYED[accepted.replayed])
    locate(request, response, accepted.path)
    response.status_code = 200 if accepted.job.reused else 202
    return accepted.job


@router.get(
    "", operation_id="listJobs", responses=documented(problems.INVALID_QUERY, problems.INVALID_CURSOR)
)
def read_jobs(
    request: Request,
    response: Response,
    database: DatabaseDep,
    cursors: CursorsDep,
    query: Annotated[JobsParameters, Query()],
) -> Jobs:
    """Jobs, the newest first."""
    with database.reading() as session:
        page = list_jobs(session, query.filters, cursors.check(query.cursor), query.limit)
    next_cursor = cursors.sign(page.next_cursor)
    link_next(request, response, next_cursor)
    return Jobs(items=[job_brief(job) for job in page.items], next_cursor=next_cursor)


@router.get(
    "/{job_id}", operation_id="getJob", responses=documented(problems.NOT_FOUND, problems.INVALID_QUERY)
)
def read_job(job_id: JobId, database: DatabaseDep) -> JobAnswer:
    """A job with its runs and their attempts."""
    with database.reading() as session:
        return job_answer(get_job(session, job_id), queue_position(session, job_id))


@router.post(
    "/{job_id}/cancellation",
    status_code=202,
    operation_id="cancelJob",
    responses=documented(
        problems.UNAUTHENTICATED,
        problems.FORBIDDEN,
        problems.NOT_FOUND,
        problems.ALREADY_TERMINAL,
        problems.IN_FLIGHT,
        problems.INVALID_QUERY,
        problems.KEY_REUSED,
    ),
)
def cancel_job(
    principal: Submitter,
    job_id: JobId,
    response: Response,
    submissions: SubmissionsDep,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Request the cancellation of a job; idempotent while the job is ending.

    Queued runs end at once, running ones within seconds. A run that another job needs continues for that job.
    """
    accepted = submissions.cancel(principal, job_id, idempotency_key)
    response.headers.update(REPLAYED[accepted.replayed])
    return accepted.job
