"""Submission and cancellation in the browser, with the same job as JSON, curl and `cil` beside the form.

Decisions:
    * The token is typed into the form and kept nowhere: no cookie, no session. So no other site can submit
      for a user.
    * Everything works without scripts; with them, the JSON beside the form follows the typing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import Field, ValidationError
from sqlalchemy.orm import Session

from api import submission
from api.deps import DatabaseDep, RingerDep, SettingsDep, authenticated
from api.http import problems
from api.http.links import url
from api.http.parameters import JobId, Parameters
from api.http.problems import Problem
from api.http.strict_requests import StrictRoute
from api.pages import templating, wording
from api.pages.job_form import DEFAULTS, PREFIX, body_of, faults_of, fields_of, form_of
from api.pages.proposals import TRACK, proposed_job
from api.pages.snippets import as_command, as_curl
from api.schemas.catalog import recipe_named
from api.schemas.leaderboards import every_track
from api.settings import Settings
from api.submission import SubmissionsDep
from cil_core.spec.base import canonical_json
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import JobSpec, Track
from cil_core.spec.recipes import RECIPES
from store.access.accounts import Principal, Scope
from store.database.session import Database
from store.datasets import dataset_cards
from store.leaderboard.leaderboard import entries
from store.queries.jobs import get_job

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a submitted form.

    Raises:
        Problem: the body is not a form.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip()
    if given != "application/x-www-form-urlencoded":
        raise Problem(
            problems.UNSUPPORTED_MEDIA_TYPE,
            f"the form must be application/x-www-form-urlencoded, not {given[:80] or 'nothing'}",
        )
    return dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))


FormDep = Annotated[dict[str, str], Depends(_form)]


class SubmitParameters(Parameters):
    """What the form begins with."""

    method: str | None = Field(default=None, max_length=200)
    preset: str | None = Field(default=None, max_length=200)
    track: str | None = Field(default=None, max_length=200)
    job: str | None = Field(default=None, max_length=200, description="Id of a job to edit and resubmit.")


@router.get("/submit")
def show(request: Request, database: DatabaseDep, query: Annotated[SubmitParameters, Query()]) -> Response:
    """The form: empty, for a method or a track, or with the values of another job."""
    with database.reading() as session:
        if query.job:
            return _page(request, session, DEFAULTS | form_of(get_job(session, query.job).spec))
        form = {**DEFAULTS, **_proposed(session, query.track or TRACK, query.method or None)}
        if query.preset is not None:
            form["preset"] = query.preset if query.preset in recipe_named(form["method"]).presets else ""
        return _page(request, session, form)


@router.post("/submit")
async def send(
    request: Request,
    form: FormDep,
    database: DatabaseDep,
    ringer: RingerDep,
    submissions: SubmissionsDep,
    settings: SettingsDep,
    background: BackgroundTasks,
) -> Response:
    """Check the job, or submit it and redirect to its page."""
    form = {**DEFAULTS, **form}
    body = body_of(form)
    errors = await run_in_threadpool(_check, body, database, settings)
    submitting = form.get("action") == "submit"
    if submitting and not errors:
        try:
            principal = await run_in_threadpool(_user, request, form, database)
            job = await submissions.submit(principal, JobSpec.model_validate(body), _key(form, body))
        except Problem as problem:
            errors = {"token" if problem.kind.status in {401, 403} else "": problem.detail}
        else:
            background.add_task(ringer.ring, job.queues)
            return RedirectResponse(
                url(request, f"/jobs/{job.job.id}"), status_code=303, background=background
            )
    status = 422 if errors and submitting else 200  # an unfinished form is no error
    return await run_in_threadpool(_read_page, request, database, form, errors, status)


@router.post("/jobs/{job_id}/cancel")
def cancel(
    request: Request, job_id: JobId, form: FormDep, database: DatabaseDep, submissions: SubmissionsDep
) -> Response:
    """Request the cancellation of a job."""
    submissions.cancel(_user(request, form, database), job_id, None)
    return RedirectResponse(url(request, f"/jobs/{job_id}"), status_code=303)


def _user(request: Request, form: Mapping[str, str], database: Database) -> Principal:
    token = form.get("token", "").strip() or None
    return authenticated(request, Response(), database, token, Scope.jobs_write)


def _key(form: Mapping[str, str], body: Mapping[str, Any]) -> str | None:
    """The idempotency key: the same form with the same content makes one job, however often it is sent."""
    if not form["submission"]:
        return None
    return hashlib.sha256(f"{form['submission']} {canonical_json(body)}".encode()).hexdigest()


def _read_page(
    request: Request, database: Database, form: Mapping[str, str], errors: Mapping[str, str], status: int
) -> Response:
    with database.reading() as session:
        return _page(request, session, form, errors, status)


def _page(
    request: Request,
    session: Session,
    form: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    recipe, body = recipe_named(form["method"]), body_of(form)
    form = {**form, "submission": form["submission"] or secrets.token_hex(16)}
    return templating.render(
        request,
        "submit_form.html",
        status,
        form=form,
        errors=errors or {},
        recipe=recipe,
        recipes=RECIPES,
        fields=fields_of(recipe, form),
        own=PREFIX,
        tracks=every_track(session),
        body=json.dumps(body, indent=2),
        curl=as_curl(body, str(request.base_url)),
        command=as_command(body),
        cost=_cost(session, body, recipe.title),
    )


def _cost(session: Session, body: Mapping[str, Any], title: str) -> str:
    """The number of runs, and how long earlier runs of the method took on this track."""
    earlier = (
        entry.train_seconds.mean
        for entry in entries(session, body["track"])
        if entry.method == body["method"]["name"] and entry.train_seconds
    )
    return wording.cost(len(body["seeds"]), title, next(earlier, None))


def _check(body: Mapping[str, Any], database: Database, settings: Settings) -> dict[str, str]:
    """The faults of a job by field of the form."""
    try:
        submission.check(JobSpec.model_validate(body), database, settings)
    except (ValidationError, InvalidSpec) as error:
        return faults_of(error, body)
    return {}


def _proposed(session: Session, slug: str, method: str | None) -> dict[str, str]:
    """A form for a track and a method; by default, one that fits. An invalid slug stays as given."""
    try:
        track = Track.from_slug(slug)
    except ValueError:
        return {"track": slug, **({"method": method} if method else {})}
    if method is not None:
        recipe_named(method)  # raises for an unknown one
    job = proposed_job(track, dataset_cards(session), method)
    return {"track": slug, "method": job["method"]["name"], "preset": job["method"].get("preset", "")}
