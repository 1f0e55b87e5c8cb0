"""Submitting and cancelling without a command line: a form made from the recipe's schema, with the same job as JSON, curl and `cil` beside it.

Decisions:
    * The token is typed into the form and goes nowhere else: no cookie, no session, so no other site can submit on somebody's behalf.
    * Only what differs from the preset is sent, so the job reads as its author thinks of it.
    * Everything works without scripts; with them the JSON beside the form follows what is typed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy.orm import Session

from api import submission
from api.deps import DatabaseDep, RingerDep, SettingsDep, authenticated
from api.http import problems
from api.http.links import url
from api.http.parameters import JobId
from api.http.problems import Problem
from api.http.strict_requests import StrictRoute
from api.pages import templating, wording
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
from cil_core.spec.recipes.base import Recipe
from cil_core.spec.schedule import Schedule
from cil_core.spec.suites import SEEDS
from store.access.accounts import Principal, Scope
from store.database.session import Database
from store.datasets import dataset_cards
from store.leaderboard.leaderboard import entries
from store.queries.jobs import get_job

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

DEFAULTS = {
    "method": "icarl",
    "preset": "",
    "track": TRACK,
    "seeds": ", ".join(map(str, SEEDS)),
    "name": "",
    "form": "",
}
_OWN = "recipe."
"""What the names of a recipe's fields begin with in the form."""


@dataclass(frozen=True, slots=True)
class Knob:
    """A hyper-parameter as a field of the form.

    Attributes:
        name: of the recipe's field.
        value: as it is typed.
        options: what may be chosen; empty if it is typed.
        numeric: whether it is a number.
        long: whether it is JSON of several values.
        note: meaning and source.
    """

    name: str
    value: str
    options: tuple[str, ...]
    numeric: bool
    long: bool
    note: str


async def _form(request: Request) -> dict[str, str]:
    """The fields of a submitted form.

    Raises:
        Problem: the body is not a form's.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip()
    if given != "application/x-www-form-urlencoded":
        raise Problem(
            problems.UNSUPPORTED_MEDIA_TYPE,
            f"a form is application/x-www-form-urlencoded, not {given[:80] or 'nothing'}",
        )
    return dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))


FormDep = Annotated[dict[str, str], Depends(_form)]
Chosen = Annotated[str | None, Query(max_length=200)]


@router.get("/submit")
def show(
    request: Request,
    database: DatabaseDep,
    method: Chosen = None,
    preset: Chosen = None,
    track: Chosen = None,
    job: Chosen = None,
) -> Response:
    """The form: empty, for a method or a track, or as another job was."""
    with database.reading() as session:
        if job:
            return _page(request, session, DEFAULTS | _as_submitted(get_job(session, job).spec))
        form = {**DEFAULTS, **_proposed(session, track or TRACK, method or None)}
        if preset is not None:
            form["preset"] = preset if preset in recipe_named(form["method"]).presets else ""
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
    if not form["form"]:
        return None
    return hashlib.sha256(f"{form['form']} {canonical_json(body)}".encode()).hexdigest()


def body_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The job a form describes, as the API takes it; what cannot be read stays text, for the checks to refuse."""
    recipe = recipe_named(form["method"])
    base = _base(recipe, form["preset"])
    changed = {}
    for name in knob_names(recipe):
        typed, before = form.get(_OWN + name), _plain(base, name)
        if typed is not None and (value := _parsed(typed)) != before and typed != str(before):
            changed[name] = (
                _difference(value, before) if isinstance(value, dict) and isinstance(before, dict) else value
            )
    method = {"name": form["method"], **({"preset": form["preset"]} if form["preset"] else {}), **changed}
    seeds = [_parsed(seed.strip()) for seed in form["seeds"].split(",") if seed.strip()]
    return {
        "method": method,
        "track": form["track"].strip(),
        "seeds": seeds,
        **({"name": form["name"]} if form["name"].strip() else {}),
    }


def knobs(recipe: type[Recipe], form: Mapping[str, str]) -> list[Knob]:
    """The fields for a recipe, with what is typed, or the values of the preset."""
    schema, base = recipe.model_json_schema(), _base(recipe, form["preset"])
    found = []
    for name in knob_names(recipe):
        properties, value = schema["properties"][name], _plain(base, name)
        options = (
            ("true", "false") if isinstance(value, bool) else tuple(map(str, properties.get("enum", ())))
        )
        typed = form.get(_OWN + name, value if isinstance(value, str) else json.dumps(value))
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        found.append(
            Knob(
                name,
                typed,
                options,
                numeric,
                isinstance(value, dict | list),
                properties.get("description", ""),
            )
        )
    return found


def knob_names(recipe: type[Recipe]) -> list[str]:
    """The recipe's hyper-parameters."""
    return [name for name in recipe.model_fields if name != "name"]


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
    form = {**form, "form": form["form"] or secrets.token_hex(16)}
    return templating.render(
        request, "submit_form.html", status, form=form, errors=errors or {}, recipe=recipe, recipes=RECIPES, fields=knobs(recipe, form), own=_OWN,
        tracks=every_track(session), body=json.dumps(body, indent=2), curl=as_curl(body, str(request.base_url)), command=as_command(body),
        cost=_cost(session, body, recipe),
    )  # fmt: skip


def _cost(session: Session, body: Mapping[str, Any], recipe: type[Recipe]) -> str:
    """How much it is, and how long the method took on this track before."""
    count = len(body["seeds"])
    earlier = (
        entry.train_seconds.mean
        for entry in entries(session, body["track"])
        if entry.method == body["method"]["name"] and entry.train_seconds
    )
    return wording.cost(count, recipe.title, next(earlier, None))


def _check(body: Mapping[str, Any], database: Database, settings: Settings) -> dict[str, str]:
    """What is wrong with a job, by field of the form."""
    try:
        spec = JobSpec.model_validate(body)
        submission.check(spec, database, settings)
    except ValidationError as error:
        return {
            _field(fault["loc"], body): fault["msg"].removeprefix("Value error, ")
            for fault in reversed(error.errors())
        }  # the first at each field
    except InvalidSpec as error:
        return {_field(error.field, body): str(error)}
    return {}


def _field(place: tuple[str | int, ...], body: Mapping[str, Any]) -> str:
    """The field of the form a fault belongs to."""
    parts = [str(part) for part in place if part not in {body["method"]["name"]}]
    if parts[:1] == ["method"]:
        return _OWN + parts[1] if len(parts) > 1 and parts[1] not in {"name", "preset"} else "method"
    return parts[0] if parts else ""


def _proposed(session: Session, slug: str, method: str | None) -> dict[str, str]:
    """A form for a track, for this method or one that fits; of a track that cannot be read nothing is known."""
    try:
        track = Track.from_slug(slug)
    except ValueError:
        return {"track": slug, **({"method": method} if method else {})}
    if method is not None:
        recipe_named(method)  # which refuses an unknown one
    job = proposed_job(track, dataset_cards(session), method)
    return {"track": slug, "method": job["method"]["name"], "preset": job["method"].get("preset", "")}


def _as_submitted(spec: Mapping[str, Any]) -> dict[str, str]:
    """A job's spec as a form: every value spelled out."""
    job = JobSpec.model_validate({**spec, "name": None})  # an older job may have a name that is refused today
    values = {
        _OWN + name: value if isinstance(value := _plain(job.method, name), str) else json.dumps(value)
        for name in knob_names(type(job.method))
    }
    preset = job.method.variant if job.method.variant in job.method.presets else ""
    return {
        "method": job.method.name,
        "preset": preset,
        "track": job.track.slug,
        "seeds": ", ".join(map(str, job.seeds)),
        "name": spec.get("name") or "",
        **values,
    }


def _base(recipe: type[Recipe], preset: str) -> Recipe:
    return recipe.from_preset(preset) if preset in recipe.presets else recipe.published()


def _plain(recipe: Recipe, name: str) -> Any:
    value = getattr(recipe, name)
    return (
        value.model_dump(mode="json")
        if isinstance(value, Schedule)
        else list(value)
        if isinstance(value, tuple)
        else value
    )


def _difference(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in before or value != before[name]}


def _parsed(typed: str) -> Any:
    try:
        return json.loads(typed)
    except ValueError:
        return typed
