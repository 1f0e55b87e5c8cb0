"""`cil`: the command line. Results on standard output (`--json` for scripts), progress and errors on standard error.

Exit codes: 0 done; 1 the job or a run did not succeed; 2 wrong usage; 3 the server refused the request; 4 no server, or it cannot be reached.

Commands that need more than the small install (`run`, `worker`, `up`, `data`) are offered by their packages through the entry-point group
`cil.commands` and appear when those packages are installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from api.client import show
from api.client.answers import Job
from api.client.connection import Connection, NoServerError, login_file
from api.client.sdk import ApiError, Client

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Class-incremental learning benchmarks: submit jobs, watch them, read leaderboards.")
out = Console()

Server = Annotated[str | None, typer.Option("--server", help="Address of the service; else CIL_SERVER, a service started here, or `cil login`.")]
Token = Annotated[str | None, typer.Option("--token", help="Bearer token for writing; else CIL_TOKEN or the one beside the server's address.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's JSON.")]
Method = Annotated[str | None, typer.Option("--method", "-m", help="Method, e.g. icarl; see `cil methods`.")]
Track = Annotated[str | None, typer.Option("--track", "-t", help="Track, e.g. digits-b0-inc2-m50-convnet.")]


@app.command()
def login(server: Annotated[str, typer.Argument(help="Address, e.g. https://cil.example.org")], token: Token = None) -> None:
    """Remember a server (and a token) for this user."""
    Connection(server=server.rstrip("/"), token=token).write(login_file())
    out.print(f"remembered {server} in {login_file()}")


@app.command()
def submit(
    spec: Annotated[Path | None, typer.Argument(help="A job as JSON, instead of the options.", exists=True, dir_okay=False)] = None,
    method: Method = None,
    track: Track = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "1993,1994,1995",
    preset: Annotated[str | None, typer.Option(help="A named set of hyper-parameters, e.g. small.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A hyper-parameter as name=value (JSON), repeatable: --set temperature=3")] = None,
    name: Annotated[str | None, typer.Option(help="A note for people.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run again what has finished already.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job until it has ended.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Submit a job: a method on a track, one run a seed."""
    body = json.loads(spec.read_text()) if spec else _job_from_options(method, track, seeds, preset, set_ or [], name)
    with Client.found(server, token) as client:
        job = client.submit(body["method"], body["track"], body["seeds"], name=body.get("name"), force=force)
        if not wait:
            _print(job, as_json)
            return
        _follow(client, job)
        _finish(client.job(job.id), as_json)


@app.command()
def watch(job_id: str, server: Server = None, token: Token = None, as_json: AsJson = False) -> None:
    """Follow a job live until it has ended."""
    with Client.found(server, token) as client:
        _follow(client, client.job(job_id))
        _finish(client.job(job_id), as_json)


@app.command()
def jobs(
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = None,
    method: Method = None,
    track: Track = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """The newest jobs."""
    filters = {name: value for name, value in {"state": state, "method": method, "track": track}.items() if value}
    with Client.found(server) as client:
        page = client.get("/jobs", limit=limit, **filters)
    _print_json(page) if as_json else out.print(show.jobs_table(map(Job.model_validate, page["items"])))


@app.command(name="show")
def show_(identifier: Annotated[str, typer.Argument(help="A job (job_…) or a run (run_…).")], server: Server = None, as_json: AsJson = False) -> None:
    """A job with its runs, or a run with its results."""
    with Client.found(server) as client:
        if identifier.startswith("run_"):
            _print_json(client.run(identifier))
        else:
            _print(client.job(identifier), as_json)


@app.command()
def cancel(job_id: str, server: Server = None, token: Token = None) -> None:
    """Cancel a job."""
    with Client.found(server, token) as client:
        client.cancel(job_id)
    out.print(f"{job_id}: cancellation requested")


@app.command()
def leaderboard(
    track: str,
    sort: Annotated[str | None, typer.Option(help="E.g. last_accuracy, forgetting, counted_bytes.")] = None,
    classifier: Annotated[str | None, typer.Option(help="E.g. linear, nme; by default each method's own.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="csv, latex or markdown instead of a table.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """The leaderboard of a track."""
    parameters = {name: value for name, value in {"sort": sort, "classifier": classifier}.items() if value}
    with Client.found(server) as client:
        if format_:
            typer.echo(client.export(track, format_, **parameters))
        elif as_json:
            _print_json(client.get(f"/leaderboards/{track}", **parameters))
        else:
            out.print(show.leaderboard_table(track, client.leaderboard(track, **parameters).items))


@app.command()
def methods(name: Annotated[str | None, typer.Argument(help="One method in detail.")] = None, server: Server = None, as_json: AsJson = False) -> None:
    """The methods, or one with all its hyper-parameters and their sources."""
    with Client.found(server) as client:
        answer = client.get(f"/methods/{name}" if name else "/methods")
    if as_json:
        _print_json(answer)
    elif name:
        out.print(f"[bold]{answer['title']}[/] ({answer['family']}): {answer['summary']}\n{answer['differs']}\npresets: {', '.join(answer['presets'])}")
        for field, schema in answer["json_schema"]["properties"].items():
            out.print(f"  [bold]{field}[/] = {json.dumps(answer['defaults'].get(field))}  {schema.get('description', '')}", highlight=False)
    else:
        for method in answer["items"]:
            out.print(f"[bold]{method['name']:12}[/] {method['title']:14} {method['summary']}", highlight=False)


@app.command()
def tracks(server: Server = None, as_json: AsJson = False) -> None:
    """The tracks that have been used."""
    with Client.found(server) as client:
        answer = client.get("/tracks")
    if as_json:
        _print_json(answer)
    else:
        for track in answer["items"]:
            out.print(track["slug"])


def _job_from_options(method: str | None, track: str | None, seeds: str, preset: str | None, fields: list[str], name: str | None) -> dict[str, Any]:
    if not method or not track:
        raise typer.BadParameter("give --method and --track, or a file with the job as JSON")
    recipe: dict[str, Any] = {"name": method, **({"preset": preset} if preset else {})}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set takes name=value, not {field!r}")
        recipe[key] = _json_or_text(value)
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--seeds takes comma-separated whole numbers, not {seeds!r}") from None
    return {"method": recipe, "track": track, "seeds": numbers, "name": name}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _follow(client: Client, job: Job) -> None:
    console = show.stderr()
    for event in client.follow(job.id):
        console.print(show.event_line(event), highlight=False, soft_wrap=True)


def _finish(job: Job, as_json: bool) -> None:
    _print(job, as_json)
    if job.state != "succeeded":
        raise typer.Exit(1)


def _print(job: Job, as_json: bool) -> None:
    _print_json(job.model_dump(mode="json")) if as_json else out.print(show.job_table(job))


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))


def mount_commands() -> None:
    """Add what the installed packages offer; each is a function or a `typer.Typer`."""
    for entry in sorted(entry_points(group="cil.commands"), key=lambda entry: entry.name):
        try:
            command: typer.Typer | Callable[..., None] = entry.load()
        except ModuleNotFoundError as missing:
            app.command(entry.name, help=f"Not installed completely ({missing.name} is missing).")(_unavailable(entry.name, str(missing.name)))
        else:
            app.add_typer(command, name=entry.name) if isinstance(command, typer.Typer) else app.command(entry.name)(command)


def _unavailable(name: str, missing: str) -> Callable[[], None]:
    def command() -> None:
        show.stderr().print(f"`cil {name}` needs {missing}: pip install 'cil-leaderboard[embedded]'")
        raise typer.Exit(2)

    return command


def main() -> None:
    """The console script."""
    mount_commands()
    try:
        app()
    except ApiError as error:
        show.stderr().print(str(error), style="red", highlight=False, markup=False)
        sys.exit(3)
    except (NoServerError, httpx.TransportError) as error:
        show.stderr().print(str(error) or type(error).__name__, style="red", highlight=False, markup=False)
        sys.exit(4)
