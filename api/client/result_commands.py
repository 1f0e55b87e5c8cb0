"""The commands about results and the catalogue: leaderboard, replay, report, withdraw, export, tracks, methods."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called: see api.client.options
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from api.client.options import AsJson, Server, Token, connect, read_json, show, show_json


def leaderboard(
    track: Annotated[str, typer.Argument(help="Track, e.g. digits-b0-inc2-m50-convnet.")],
    sort: Annotated[str | None, typer.Option(help="E.g. last_accuracy, forgetting, counted_bytes.")] = None,
    classifier: Annotated[
        str | None, typer.Option(help="E.g. linear, nme; by default each method's own.")
    ] = None,
    exemplar_free: Annotated[
        bool, typer.Option("--exemplar-free", help="Only entries that keep no exemplars.")
    ] = False,
    best_per_method: Annotated[
        bool, typer.Option("--best-per-method", help="Of each method only the entry that comes first.")
    ] = False,
    written: Annotated[
        str | None, typer.Option("--format", help="csv, latex, bibtex or markdown instead of a table.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """The leaderboard of a track."""
    from api.client.models import Leaderboard
    from api.client.tables import LeaderboardTable

    if written and as_json:
        raise typer.BadParameter("give --format or --json, not both")
    flags = {"exemplar_free": exemplar_free, "best_per_method": best_per_method}
    choices = {
        "sort": sort,
        "classifier": classifier,
        **{name: "true" for name, is_set in flags.items() if is_set},
    }
    parameters = {name: value for name, value in choices.items() if value}
    with connect(server) as client:
        if written:
            typer.echo(client.export(track, written, **parameters), nl=False)
            return
        answer = client.get(f"/leaderboards/{track}", **parameters)
    show_json(answer) if as_json else show(LeaderboardTable(Leaderboard.model_validate(answer)))


def replay(
    run_id: Annotated[str, typer.Argument(help="A finished run (run_…).")],
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end and say whether the results agree.")
    ] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Execute a finished run again, to see whether it gets the same results."""
    with connect(server, token) as client:
        job = client.replay(run_id)
        if not wait:
            show_json(job.model_dump(mode="json")) if as_json else typer.echo(f"{job.id} repeats {run_id}")
            return
        client.wait(job.id)
        again = job.runs[0].id
        original = client.get(f"/runs/{again}")["replay_of"]
        verdict = next(item for item in client.get(f"/runs/{original}")["replays"] if item["run"] == again)
    show_json(verdict) if as_json else typer.echo(f"{again}: {_verdict(verdict)}")
    if not verdict["agrees"]:
        raise typer.Exit(1)


def report(
    result: Annotated[
        Path,
        typer.Argument(
            help="The result as JSON: track, title, citation, and curve or matrix.",
            exists=True,
            dir_okay=False,
        ),
    ],
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Report a result that was computed elsewhere; it stands beside the leaderboard and is never ranked with it."""
    body = read_json(result)
    with connect(server, token) as client:
        answer = client.report(body)
    average = f"{100 * answer['average_accuracy']:.2f} % average accuracy"
    show_json(answer) if as_json else typer.echo(
        f"{answer['id']}: {answer['title']} on {answer['track']}, {average}, as reported"
    )


def withdraw(
    result_id: Annotated[str, typer.Argument(help="A reported result (res_…).")],
    server: Server = None,
    token: Token = None,
) -> None:
    """Take back a result that one has reported."""
    with connect(server, token) as client:
        answer = client.withdraw(result_id)
    typer.echo(f"{answer['title']} on {answer['track']} is withdrawn")


def export(
    out: Annotated[Path, typer.Option("--out", help="A directory that is not there yet.")],
    parquet: Annotated[bool, typer.Option("--parquet/--no-parquet", help="Write Parquet files too.")] = True,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Save everything public of a service: JSON lines, CSV and Parquet with a manifest of hashes. `cil import` loads it."""
    with connect(server) as client:
        manifest = client.snapshot(out, parquet=parquet)
    counts = ", ".join(f"{count} {kind}" for kind, count in manifest["counts"].items())
    show_json(manifest) if as_json else typer.echo(f"{out}: {counts}, in {len(manifest['files'])} files")


def tracks(as_json: AsJson = False, server: Server = None) -> None:
    """The tracks that have been used, and those of the literature that are ready to be."""
    with connect(server) as client:
        answer = client.get("/tracks")
    if as_json:
        show_json(answer)
        return
    for track in answer["items"]:
        title = (
            f"  {track['title']}"
            if track["title"]
            else "  for tuning, nothing is ranked"
            if track["for_tuning"]
            else ""
        )
        typer.echo(f"{track['slug']:44} {track['entries']:3} entries {track['runs']:4} runs{title}")


def methods(
    name: Annotated[str | None, typer.Argument(help="One method in detail.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """The methods, or one with all its hyper-parameters and their sources."""
    with connect(server) as client:
        answer = client.get(f"/methods/{name}" if name else "/methods")
    if as_json:
        show_json(answer)
    elif name:
        _describe(answer)
    else:
        for method in answer["items"]:
            typer.echo(f"{method['name']:12} {method['title']:16} {method['summary']}")


COMMANDS: tuple[Callable[..., None], ...] = (leaderboard, replay, report, withdraw, export, tracks, methods)


def _verdict(verdict: dict[str, Any]) -> str:
    if verdict["agrees"] is None:
        return "the replay did not finish"
    if verdict["bitwise"]:
        return "every count is the same"
    return f"{'agrees' if verdict['agrees'] else 'does NOT agree'}; a curve differs by {100 * verdict['largest_difference']:.2f} points at most"


def _describe(method: dict[str, Any]) -> None:
    from api.client.tables import fields_table

    typer.echo(f"{method['title']} ({method['family']}): {method['summary']}")
    if method["differs"]:
        typer.echo(f"Differs from the paper: {method['differs']}")
    if method["citation"]:
        typer.echo(method["citation"]["bibtex"])
    for preset, values in method["preset_values"].items():
        changed = {name: value for name, value in values.items() if value != method["defaults"].get(name)}
        typer.echo(f"preset {preset}: {json.dumps(changed)}")
    show(fields_table(method["json_schema"]["properties"], method["defaults"]))
