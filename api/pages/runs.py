"""One run as a page: progress, results, and the outcomes of attempts.

Decisions:
    * While the state can change, the pages of runs and jobs follow the job's server-sent events. htmx reloads
      it at each event, and every few seconds in any case, and morphs the content: typed text and the scroll
      position stay.
    * Without scripts the page shows the state at load time, and says so.
    * Figures become interactive once the state is final.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.deps import DatabaseDep
from api.http.parameters import RunId
from api.http.strict_requests import StrictRoute
from api.pages import templating
from api.pages.compare import shade
from api.pages.figures import charts
from api.pages.figures.charts import Figure
from api.pages.figures.curves import Series
from api.pages.figures.svg import SeriesStyle
from api.pages.jobs import OPEN, REFRESH_SECONDS
from api.schemas.runs import RunAnswer, run_answer
from cil_core.spec.recipes import BY_NAME
from store.queries.runs import get_run, wanted_by
from store.runs import lineage, losses

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


@router.get("/runs/{run_id}")
def show_run(request: Request, run_id: RunId, database: DatabaseDep) -> Response:
    """A run: curve, losses, matrix, attempts, environment, recipe."""
    with database.reading() as session:
        run = run_answer(get_run(session, run_id), lineage(session, run_id))
        jobs, epochs = wanted_by(session, run_id), losses(session, run_id)
    is_open = run.state in OPEN
    return templating.render(
        request,
        "run.html",
        run=run,
        title=BY_NAME[run.method].title,
        shade=shade,
        jobs=jobs,
        epoch=epochs[-1] if epochs else None,
        refresh=REFRESH_SECONDS if is_open else None,
        events=f"/api/v1/jobs/{jobs[0]}/events" if is_open and jobs else None,
        figures={figure.name: figure for figure in figures_of(run, epochs)},
    )


@router.get("/runs/{run_id}/{file}")
def picture(run_id: RunId, file: str, database: DatabaseDep) -> Response:
    """A figure of the page alone."""
    with database.reading() as session:
        run = run_answer(get_run(session, run_id), lineage(session, run_id))
        return charts.download(figures_of(run, losses(session, run_id)), file)


def figures_of(run: RunAnswer, epochs: Sequence[dict[str, Any]]) -> list[Figure]:
    """Accuracy after each task so far, and the loss of each recorded epoch; no figure without data."""
    title, found = BY_NAME[run.method].title, []
    if series := curves_of(run):
        found.append(charts.curves("curves", series, f"Accuracy of {title} after each task"))
    points = [
        (float(place), math.fsum(epoch["losses"].values())) for place, epoch in enumerate(epochs, start=1)
    ]
    if points:
        starts = [
            place
            for place, epoch in enumerate(epochs, start=1)
            if place == 1 or epoch["task"] != epochs[place - 2]["task"]
        ]
        begins = [(float(place), f"task {epochs[place - 1]['task'] + 1}") for place in starts]
        found.append(
            charts.trace(
                "losses", points, f"Loss of {title} in each recorded epoch", "recorded epochs", "loss", begins
            )
        )
    return found


def curves_of(run: RunAnswer) -> list[Series]:
    """The accuracy over all seen classes after each task so far, under each classifier."""
    series = []
    for number, (name, answer) in enumerate(run.classifiers.items()):
        seen = [task.seen for task in run.tasks]
        totals = list(accumulate(answer.test_images))
        points = [
            (count, sum(row) / totals[place])
            for place, (count, row) in enumerate(zip(seen, answer.correct, strict=True))
        ]
        series.append(Series(name, points, style=SeriesStyle(number)))
    return series
