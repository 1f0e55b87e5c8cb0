"""The commands about jobs: login, submit, watch, jobs, show, cancel."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called: see api.client.options
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client.options import AsJson, Server, Token, connect, progress_console, read_json, show_json
from api.client.options import show as show_table

if TYPE_CHECKING:
    from api.client.models import Job
    from api.client.sdk import Client

MethodName = Annotated[
    str | None, typer.Option("--method", "-m", help="Method, e.g. icarl; see `cil methods`.")
]
TrackName = Annotated[
    str | None, typer.Option("--track", "-t", help="Track, e.g. digits-b0-inc2-m50-convnet.")
]


def login(
    server: Annotated[str, typer.Argument(help="Address, e.g. https://cil.example.org")], token: Token = None
) -> None:
    """Remember a server (and a token) for this user."""
    from api.client.connection import Connection, login_file
    from api.client.sdk import Client

    with Client(server, token) as client:
        client.get("/backbones")  # a mistyped address is noticed now
    Connection(server=server.rstrip("/"), token=token).write(login_file())
    typer.echo(f"remembered {server} in {login_file()}")


def submit(
    spec: Annotated[
        Path | None,
        typer.Argument(help="A job as JSON, instead of the options.", exists=True, dir_okay=False),
    ] = None,
    method: MethodName = None,
    track: TrackName = None,
    seeds: Annotated[str | None, typer.Option(help="Comma-separated; 1993,1994,1995 if not given.")] = None,
    preset: Annotated[str | None, typer.Option(help="A named set of hyper-parameters, e.g. small.")] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A hyper-parameter as name=value (JSON), repeatable: --set temperature=3 --set later_tasks.lr=0.05",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A note for people.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Execute again what has finished already.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the job until it has ended.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Submit a job: a method on a track, one run a seed."""
    given = {
        "--method": method,
        "--track": track,
        "--seeds": seeds,
        "--preset": preset,
        "--set": values,
        "--name": name,
    }
    too_many = [option for option, value in given.items() if value]
    if spec and too_many:
        raise typer.BadParameter(f"{spec} is the whole job; it goes without {', '.join(too_many)}")
    body = (
        read_json(spec)
        if spec
        else _from_options(
            method, track, seeds or "1993,1994,1995", {"preset": preset} if preset else {}, values or [], name
        )
    )
    with connect(server, token) as client:
        job = client.submit_json(body, force=force)
        if wait:
            _watch(client, job, as_json)
        else:
            _show(job, as_json)


def watch(
    job_id: Annotated[str, typer.Argument(help="A job (job_…).")],
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Watch a job live until it has ended."""
    with connect(server) as client:
        _watch(client, client.job(job_id), as_json)


def jobs(
    state: Annotated[
        str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")
    ] = None,
    method: MethodName = None,
    track: TrackName = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """The newest jobs."""
    from api.client.models import Job
    from api.client.tables import jobs_table

    filters = {
        name: value for name, value in {"state": state, "method": method, "track": track}.items() if value
    }
    with connect(server) as client:
        page = client.get("/jobs", limit=limit, **filters)
    show_json(page) if as_json else show_table(jobs_table(map(Job.model_validate, page["items"])))


def show(
    identifier: Annotated[str, typer.Argument(help="A job (job_…) or a run (run_…).")],
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """A job with its runs, or a run with its results."""
    from api.client.models import Job, Run
    from api.client.tables import job_table, run_tables

    with connect(server) as client:
        answer = client.get(f"/runs/{identifier}" if identifier.startswith("run_") else f"/jobs/{identifier}")
    if as_json:
        show_json(answer)
    elif identifier.startswith("run_"):
        show_table(run_tables(Run.model_validate(answer)))
    else:
        show_table(job_table(Job.model_validate(answer)))


def cancel(
    job_id: Annotated[str, typer.Argument(help="A job (job_…).")],
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Cancel a job."""
    with connect(server, token) as client:
        _show(client.cancel(job_id), as_json)


COMMANDS: tuple[Callable[..., None], ...] = (login, submit, watch, jobs, show, cancel)


def _from_options(
    method: str | None,
    track: str | None,
    seeds: str,
    preset: dict[str, str],
    values: list[str],
    name: str | None,
) -> dict[str, Any]:
    if not method or not track:
        raise typer.BadParameter("give --method and --track, or a file with the job as JSON")
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--seeds takes comma-separated whole numbers, not {seeds!r}") from None
    recipe: dict[str, Any] = {"name": method, **preset}
    for text in values:
        _assign(recipe, text)
    return {"method": recipe, "track": track, "seeds": numbers, **({"name": name} if name else {})}


def _assign(recipe: dict[str, Any], text: str) -> None:
    """`name=value` or `schedule.name=value`: the value as JSON, or as text where it is none."""
    path, equals, written = text.partition("=")
    *within, name = path.split(".")
    if not equals or not name or not all(within):
        raise typer.BadParameter(f"--set takes name=value, not {text!r}")
    try:
        value = json.loads(written)
    except ValueError:
        value = written
    for part in within:
        recipe = recipe.setdefault(part, {})
        if not isinstance(recipe, dict):
            raise typer.BadParameter(f"--set {text}: {part} has been given a value without fields")
    recipe[name] = value


def _watch(client: Client, job: Job, as_json: bool) -> None:
    from api.client.watching import watch as follow

    follow(client, job, progress_console())
    job = client.job(job.id)
    _show(job, as_json)
    if job.state != "succeeded":
        raise typer.Exit(1)


def _show(job: Job, as_json: bool) -> None:
    from api.client.tables import job_table

    show_json(job.model_dump(mode="json")) if as_json else show_table(job_table(job))
