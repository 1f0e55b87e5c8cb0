"""The commands about results and the catalogue, such as leaderboard, replay, report, tracks and methods."""

# ruff: noqa: PLC0415 - a command imports what it needs when it is called: see api.client.options
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from api.client import output
from api.client.options import AsJson, Server, Token, connect, read_json
from api.shared.numbers import percent


def leaderboard(
    track: Annotated[str, typer.Argument(help="A track, e.g. digits-b0-inc2-m50-convnet.")],
    sort: Annotated[
        str | None, typer.Option(help="A metric, e.g. last_accuracy, forgetting, counted_bytes.")
    ] = None,
    classifier: Annotated[
        str | None, typer.Option(help="E.g. linear, nme. Default: each method's own.")
    ] = None,
    exemplar_free: Annotated[
        bool, typer.Option("--exemplar-free", help="Only entries that keep no exemplars.")
    ] = False,
    best_per_method: Annotated[
        bool, typer.Option("--best-per-method", help="Only the first entry of each method.")
    ] = False,
    format_: Annotated[
        str | None, typer.Option("--format", help="csv, latex, bibtex or markdown instead of a table.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Show the leaderboard of a track."""
    from api.client.http_session import segment
    from api.client.models import Leaderboard
    from api.client.tables import leaderboard_table

    if format_ and as_json:
        raise typer.BadParameter("give --format or --json, not both")
    choices = {
        "sort": sort,
        "classifier": classifier,
        "exemplar_free": "true" if exemplar_free else None,
        "best_per_method": "true" if best_per_method else None,
    }
    parameters = {name: value for name, value in choices.items() if value}
    with connect(server) as client:
        if format_:
            output.say(client.export(track, format_, **parameters), newline=False)
            return
        answer = client.get(f"/leaderboards/{segment(track)}", **parameters)
    output.show_json(answer) if as_json else output.show(leaderboard_table(Leaderboard.read(answer)))


def replay(
    run_id: Annotated[str, typer.Argument(help="Id of a finished run (run_…).")],
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end, and report whether the results agree.")
    ] = False,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Execute a finished run again and compare the results."""
    from api.client.http_session import segment

    with connect(server, token) as client:
        job = client.replay(run_id)
        if not wait:
            output.show_json(job.model_dump(mode="json")) if as_json else output.say(
                f"{job.id} replays {run_id}"
            )
            return
        client.wait(job.id)
        replay_id = job.runs[0].id
        original = client.get(f"/runs/{segment(replay_id)}")["replay_of"]
        replays = client.get(f"/runs/{segment(original)}")["replays"]
        verdict = next(item for item in replays if item["run"] == replay_id)
    output.show_json(verdict) if as_json else output.say(f"{replay_id}: {_verdict(verdict)}")
    if not verdict["agrees"]:
        raise typer.Exit(1)


def report(
    result: Annotated[
        Path,
        typer.Argument(
            help="A JSON file with the result: track, title, citation, and curve or matrix.",
            exists=True,
            dir_okay=False,
        ),
    ],
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Report a result that was computed elsewhere.

    It is listed next to the leaderboard and never ranked with it.
    """
    body = read_json(result)
    with connect(server, token) as client:
        answer = client.report(body)
    if as_json:
        output.show_json(answer)
        return
    average = f"{percent(answer['average_accuracy'], 2)} % average accuracy"
    output.say(f"{answer['id']}: {answer['title']} on {answer['track']}, {average}, as reported")


def withdraw(
    result_id: Annotated[str, typer.Argument(help="Id of a reported result (res_…).")],
    server: Server = None,
    token: Token = None,
) -> None:
    """Withdraw a result that you have reported."""
    with connect(server, token) as client:
        answer = client.withdraw(result_id)
    output.say(f"Withdrew {answer['title']} on {answer['track']}.")


def export(
    out: Annotated[Path, typer.Option("--out", help="A directory that does not exist yet.")],
    parquet: Annotated[bool, typer.Option("--parquet/--no-parquet", help="Write Parquet files too.")] = True,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Save everything public of a service as files.

    They are JSON lines, CSV and Parquet with a manifest of hashes; `cil import` loads them.
    """
    with connect(server) as client:
        manifest = client.snapshot(out, parquet=parquet)
    counts = ", ".join(f"{count} {kind}" for kind, count in manifest["counts"].items())
    output.show_json(manifest) if as_json else output.say(
        f"{out}: {counts}, in {len(manifest['files'])} files"
    )


def tracks(as_json: AsJson = False, server: Server = None) -> None:
    """List the tracks with runs and those of the literature."""
    from api.client.listing import Column, Listing

    with connect(server) as client:
        answer = client.get("/tracks")
    if as_json:
        output.show_json(answer)
        return
    table = Listing(
        [
            Column("track"),
            Column("entries", right=True, rank=1),
            Column("runs", right=True, rank=2),
            Column("title", rank=3, moves=True, wraps=True),
        ]
    )
    for track in answer["items"]:
        title = track["title"] or ("for tuning, without ranks" if track["for_tuning"] else "")
        table.add(track["slug"], str(track["entries"]), str(track["runs"]), title)
    output.show(table)


def methods(
    name: Annotated[str | None, typer.Argument(help="A method, to show all its hyper-parameters.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List the methods, or show one in detail.

    The details are its hyper-parameters with defaults and sources, its presets and its paper.
    """
    from api.client.http_session import segment
    from api.client.listing import Column, Listing

    with connect(server) as client:
        answer = client.get(f"/methods/{segment(name)}" if name else "/methods")
    if as_json:
        output.show_json(answer)
    elif name:
        _describe(answer)
    else:
        table = Listing([Column("name"), Column("method"), Column("summary", rank=1, moves=True, wraps=True)])
        for method in answer["items"]:
            table.add(method["name"], method["title"], method["summary"])
        output.show(table)


COMMANDS: tuple[Callable[..., None], ...] = (leaderboard, replay, report, withdraw, export, tracks, methods)


def _verdict(verdict: dict[str, Any]) -> str:
    if verdict["agrees"] is None:
        return "the replay did not finish"
    if verdict["bitwise"]:
        return "reproduced: every count is equal"
    agreement = "agrees" if verdict["agrees"] else "does NOT agree"
    largest = f"{percent(verdict['largest_difference'], 2)} percentage points"
    return f"{agreement}: the curves differ by at most {largest}"


def _describe(method: dict[str, Any]) -> None:
    from api.client.tables import fields_table

    output.say_wrapped(f"{method['title']} ({method['family']}): {method['summary']}")
    if method["differs"]:
        output.say_wrapped(f"Differs from the paper: {method['differs']}")
    if method["citation"]:
        output.say_wrapped(method["citation"]["bibtex"])
    for preset, values in method["preset_values"].items():
        changed = {name: value for name, value in values.items() if value != method["defaults"].get(name)}
        output.say_wrapped(f"preset {preset}: {json.dumps(changed)}")
    output.show(fields_table(method["json_schema"]["properties"], method["defaults"]))
