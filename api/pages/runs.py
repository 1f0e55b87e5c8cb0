"""One run and one job as pages: how far they have come, what came out, and why attempts ended.

Decision: while something can still change, htmx asks for the page again every few seconds and morphs what is shown into it; what is typed and where one has
scrolled stay. Without scripts the page is what it was when it was loaded, and says so.
"""

from __future__ import annotations

from itertools import accumulate

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.answers.jobs import job_answer
from api.answers.runs import RunAnswer, run_answer
from api.deps import DatabaseDep
from api.pages import svg, templating
from api.pages.compare import shade
from api.routes.jobs import JobId
from api.routes.runs import RunId
from api.strict import StrictRoute
from cil_core.recipes import BY_NAME
from store.jobs import get_job
from store.queues import queue_position
from store.replays import lineage
from store.results import get_run

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

REFRESH_SECONDS = 3
OPEN = frozenset({"queued", "running"})


@router.get("/runs/{run_id}")
def show_run(request: Request, run_id: RunId, database: DatabaseDep) -> HTMLResponse:
    """A run: curve, matrix, attempts, environment, recipe."""
    with database.reading() as session:
        run = run_answer(get_run(session, run_id), lineage(session, run_id))
    series = curves_of(run)
    return templating.render(
        request, "run.html", run=run, title=BY_NAME[run.method].title, shade=shade, refresh=REFRESH_SECONDS if run.state in OPEN else None,
        chart=svg.curves(series, f"Accuracy of {BY_NAME[run.method].title} after each task") if series else None,
    )  # fmt: skip


@router.get("/jobs/{job_id}")
def show_job(request: Request, job_id: JobId, database: DatabaseDep) -> HTMLResponse:
    """A job: its runs, how they stand, and its place in the queue."""
    with database.reading() as session:
        job = job_answer(get_job(session, job_id), queue_position(session, job_id))
    return templating.render(request, "job.html", job=job, title=BY_NAME[job.method].title, refresh=REFRESH_SECONDS if job.state in OPEN else None)


def curves_of(run: RunAnswer) -> list[svg.Series]:
    """The accuracy over all seen classes after each task so far, under each classifier."""
    series = []
    for name, answer in run.classifiers.items():
        seen = [task.seen for task in run.tasks]
        totals = list(accumulate(answer.test_images))
        points = [(count, sum(row) / totals[place]) for place, (count, row) in enumerate(zip(seen, answer.correct, strict=True))]
        series.append(svg.Series(label=name, points=points))
    return series
