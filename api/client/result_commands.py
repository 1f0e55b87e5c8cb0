"""The commands about results and the catalogue: leaderboard, tracks, methods."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called: see api.client.options
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from api.client.options import AsJson, Server, connect, show, show_json


def leaderboard(
    track: Annotated[str, typer.Argument(help="Track, e.g. digits-b0-inc2-m50-convnet.")],
    sort: Annotated[str | None, typer.Option(help="E.g. last_accuracy, forgetting, counted_bytes.")] = None,
    classifier: Annotated[str | None, typer.Option(help="E.g. linear, nme; by default each method's own.")] = None,
    exemplar_free: Annotated[bool, typer.Option("--exemplar-free", help="Only entries that keep no exemplars.")] = False,
    written: Annotated[str | None, typer.Option("--format", help="csv, latex, bibtex or markdown instead of a table.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """The leaderboard of a track."""
    from api.client.answers import Leaderboard
    from api.client.tables import LeaderboardTable

    if written and as_json:
        raise typer.BadParameter("give --format or --json, not both")
    choices = {"sort": sort, "classifier": classifier, "exemplar_free": "true" if exemplar_free else None}
    parameters = {name: value for name, value in choices.items() if value}
    with connect(server) as client:
        if written:
            typer.echo(client.export(track, written, **parameters), nl=False)
            return
        answer = client.get(f"/leaderboards/{track}", **parameters)
    show_json(answer) if as_json else show(LeaderboardTable(Leaderboard.model_validate(answer)))


def tracks(as_json: AsJson = False, server: Server = None) -> None:
    """The tracks that have been used, and those of the literature that are ready to be."""
    with connect(server) as client:
        answer = client.get("/tracks")
    if as_json:
        show_json(answer)
        return
    for track in answer["items"]:
        title = f"  {track['title']}" if track["title"] else "  for tuning, nothing is ranked" if track["for_tuning"] else ""
        typer.echo(f"{track['slug']:44} {track['entries']:3} entries {track['runs']:4} runs{title}")


def methods(name: Annotated[str | None, typer.Argument(help="One method in detail.")] = None, as_json: AsJson = False, server: Server = None) -> None:
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


COMMANDS: tuple[Callable[..., None], ...] = (leaderboard, tracks, methods)


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
