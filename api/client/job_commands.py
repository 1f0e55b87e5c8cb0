"""The commands about jobs: login, submit, watch, jobs, show, cancel."""

# ruff: noqa: PLC0415 - a command imports what it needs when it is called: see api.client.options
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import output
from api.client.options import AsJson, Server, Token, connect, read_json

if TYPE_CHECKING:
    from api.client.models import Job
    from api.client.sdk import Client

DEFAULT_SEEDS = "1993,1994,1995"

MethodName = Annotated[str | None, typer.Option("--method", "-m", help="A method, e.g. icarl.")]
TrackName = Annotated[
    str | None, typer.Option("--track", "-t", help="A track, e.g. digits-b0-inc2-m50-convnet.")
]
SpecFile = Annotated[
    Path | None,
    typer.Argument(help="A file with the job as JSON, instead of options.", exists=True, dir_okay=False),
]
Seeds = Annotated[str | None, typer.Option(help=f"Seeds between commas. Default: {DEFAULT_SEEDS}.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A hyper-parameter as name=value, repeatable: --set temperature=3 --set later_tasks.lr=0.05",
    ),
]
JobId = Annotated[str, typer.Argument(help="Id of a job (job_…).")]


def login(
    server: Annotated[str, typer.Argument(help="Address, e.g. https://cil.example.org")],
    token: Annotated[
        str | None, typer.Option("--token", help="Bearer token for writing. Default: CIL_TOKEN.")
    ] = None,
) -> None:
    """Store the address of a server, and a token, for this user."""
    from api.client.connection import Connection, checked_server, find, login_file
    from api.client.errors import ConfigurationError, UnexpectedAnswerError
    from api.client.sdk import Client

    checked_server(server, "server")
    connection = find(server, token)
    with Client(connection.server, connection.token) as client:
        if "items" not in client.get("/backbones"):  # a mistyped address is reported now
            raise UnexpectedAnswerError(f"{client.server} is not a CIL leaderboard")
    stored = Connection(server=connection.server, token=connection.token)
    try:
        stored.write(login_file())
    except OSError as error:
        raise ConfigurationError(f"{login_file()} cannot be written: {error.strerror}") from None
    output.say(f"Stored {stored.server} in {login_file()}.")


def submit(
    spec: SpecFile = None,
    method: MethodName = None,
    track: TrackName = None,
    seeds: Seeds = None,
    preset: Annotated[str | None, typer.Option(help="A named set of hyper-parameters, e.g. small.")] = None,
    values: Assignments = None,
    name: Annotated[str | None, typer.Option(help="A note for people.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Execute finished runs again.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the job until it has ended.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Submit a job: one method on one track, one run per seed."""
    options = {
        "--method": method,
        "--track": track,
        "--seeds": seeds,
        "--preset": preset,
        "--set": values,
        "--name": name,
    }
    given = [option for option, value in options.items() if value]
    if spec and given:
        raise typer.BadParameter(f"{spec} is a whole job; it cannot be combined with {', '.join(given)}")
    if spec:
        body = read_json(spec)
    else:
        recipe = _recipe(method, preset, values or [])
        body = _job(recipe, track, seeds or DEFAULT_SEEDS, name)
    with connect(server, token) as client:
        job = client.submit_json(body, force=force)
        if wait:
            _watch(client, job, as_json)
        else:
            _show(job, as_json)


def watch(job_id: JobId, as_json: AsJson = False, server: Server = None) -> None:
    """Watch a job live until it has ended."""
    with connect(server) as client:
        _watch(client, client.job(job_id), as_json)


def jobs(
    state: Annotated[
        str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")
    ] = None,
    method: MethodName = None,
    track: TrackName = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Number of jobs.")] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the newest jobs."""
    from api.client.models import Job
    from api.client.tables import jobs_table

    filters = {"state": state, "method": method, "track": track}
    with connect(server) as client:
        page = client.get("/jobs", limit=limit, **{name: value for name, value in filters.items() if value})
    if as_json:
        output.show_json(page)
    elif not page["items"]:
        output.say("No jobs." if not any(filters.values()) else "No jobs match.")
    else:
        output.show(jobs_table(map(Job.read, page["items"])))


def show(
    identifier: Annotated[str, typer.Argument(help="Id of a job (job_…) or a run (run_…).")],
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show a job with its runs, or a run with its results."""
    from api.client.http_session import segment
    from api.client.models import Job, Run
    from api.client.tables import job_table, run_tables

    is_run = identifier.startswith("run_")
    with connect(server) as client:
        answer = client.get(f"/{'runs' if is_run else 'jobs'}/{segment(identifier)}")
    if as_json:
        output.show_json(answer)
    else:
        output.show(run_tables(Run.read(answer)) if is_run else job_table(Job.read(answer)))


def cancel(job_id: JobId, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Cancel a job."""
    with connect(server, token) as client:
        _show(client.cancel(job_id), as_json)


COMMANDS: tuple[Callable[..., None], ...] = (login, submit, watch, jobs, show, cancel)


def _recipe(method: str | None, preset: str | None, assignments: list[str]) -> dict[str, Any]:
    recipe: dict[str, Any] = {"name": method, **({"preset": preset} if preset else {})}
    for assignment in assignments:
        _assign(recipe, assignment)
    return recipe


def _job(recipe: dict[str, Any], track: str | None, seeds: str, name: str | None) -> dict[str, Any]:
    if not recipe["name"] or not track:
        raise typer.BadParameter("give --method and --track, or a file with the job as JSON")
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--seeds takes whole numbers between commas, not {seeds!r}") from None
    return {"method": recipe, "track": track, "seeds": numbers, **({"name": name} if name else {})}


def _assign(recipe: dict[str, Any], assignment: str) -> None:
    """`name=value` or `schedule.name=value`: the value as JSON, or as text where it is not JSON."""
    path, equals, written = assignment.partition("=")
    *sections, name = path.split(".")
    if not equals or not name or not all(sections):
        raise typer.BadParameter(f"--set takes name=value, not {assignment!r}")
    try:
        value = json.loads(written)
    except ValueError:
        value = written
    for section in sections:
        recipe = recipe.setdefault(section, {})
        if not isinstance(recipe, dict):
            raise typer.BadParameter(
                f"--set {assignment}: {section} already has a value, which has no fields"
            )
    recipe[name] = value


def _watch(client: Client, job: Job, as_json: bool) -> None:
    from api.client.watch import watch_job

    watch_job(client, job, output.progress_console())
    job = client.job(job.id)
    _show(job, as_json)
    if job.state != "succeeded":
        raise typer.Exit(1)


def _show(job: Job, as_json: bool) -> None:
    from api.client.tables import job_table

    if as_json:
        output.show_json(job.model_dump(mode="json"))
    else:
        output.show(job_table(job))
