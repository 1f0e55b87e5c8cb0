"""The commands `cil suite …`: several methods on several tracks as one thing."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called: see api.client.options
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from api.client.options import AsJson, Server, Token, connect, progress_console, show_json
from api.client.options import show as show_table

if TYPE_CHECKING:
    from cil_core.spec.suites import Suite

suite = typer.Typer(
    no_args_is_help=True,
    help="Suites: several methods on several tracks, submitted, watched and read as one thing.",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="See `cil suite list`.")]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Another dataset for all its tracks, e.g. folder:cifar10, a copy you registered."
    ),
]
Seeds = Annotated[str | None, typer.Option(help="Comma-separated, instead of the suite's own.")]


@suite.command("list")
def list_(as_json: AsJson = False) -> None:
    """The suites."""
    from cil_core.spec.suites import SUITES

    if as_json:
        show_json([each.model_dump(mode="json") | {"runs": each.runs} for each in SUITES.values()])
        return
    for each in SUITES.values():
        typer.echo(f"{each.name:16} {each.runs:4} runs  {each.title}")


@suite.command()
def show(
    name: Name, dataset: Dataset = None, seeds: Seeds = None, as_json: AsJson = False, server: Server = None
) -> None:
    """What a suite consists of, and what it would cost on a service as it stands."""
    from api.client.suites import cost

    chosen = _chosen(name, dataset, seeds)
    with connect(server) as client:
        price = cost(client, chosen)
    if as_json:
        show_json(
            chosen.model_dump(mode="json")
            | {
                "runs": price.runs,
                "finished": price.finished,
                "seconds_left": price.seconds,
                "unknown": price.unknown,
            }
        )
        return
    typer.echo(
        f"{chosen.title}\ntracks   {', '.join(chosen.tracks)}\nseeds    {', '.join(map(str, chosen.seeds))}\nrecipes"
    )
    for recipe in chosen.recipes:
        typer.echo(f"         {json.dumps(recipe)}")
    typer.echo(f"cost     {price}")


@suite.command()
def run(
    name: Name,
    dataset: Dataset = None,
    seeds: Seeds = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Submit a suite, watch it, and print its tables beside the published ones. Interrupted, it goes on when it is called again."""
    from api.client import suites
    from api.client.models import Leaderboard

    chosen, console = _chosen(name, dataset, seeds), progress_console()
    with connect(server, token) as client:
        console.print(f"{chosen.name}: {suites.cost(client, chosen)}", highlight=False)
        jobs = suites.watch(client, suites.submit(client, chosen), console)
        answers = [client.get(f"/leaderboards/{slug}") for slug in chosen.tracks]
    failed = suites.failures(jobs)
    if as_json:
        show_json(
            {
                "suite": chosen.name,
                "jobs": [job.id for job in jobs],
                "failures": failed,
                "leaderboards": answers,
            }
        )
    else:
        show_table(suites.tables([Leaderboard.model_validate(answer) for answer in answers]))
    for failure in failed:
        typer.secho(failure, fg="red", err=True)
    if failed:
        raise typer.Exit(1)


def _chosen(name: str, dataset: str | None, seeds: str | None) -> Suite:
    from cil_core.spec.suites import SUITES

    if name not in SUITES:
        raise typer.BadParameter(f"there is no suite {name!r}; there are {', '.join(SUITES)}")
    chosen = SUITES[name]
    try:
        chosen = chosen.on(dataset) if dataset else chosen
        return (
            chosen.model_copy(update={"seeds": tuple(int(seed) for seed in seeds.split(","))})
            if seeds
            else chosen
        )
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None
