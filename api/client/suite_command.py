"""The commands `cil suite …`: several methods on several tracks as one unit."""

# ruff: noqa: PLC0415 - a command imports what it needs when it is called: see api.client.options
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from api.client import output
from api.client.options import AsJson, Server, Token, connect

if TYPE_CHECKING:
    from cil_core.spec.suites import Suite

suite = typer.Typer(
    no_args_is_help=True,
    help="Run several methods on several tracks as one unit.",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="A suite; `cil suite list` shows them.")]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Another dataset for all its tracks, e.g. folder:cifar10, a copy you registered."
    ),
]
Seeds = Annotated[str | None, typer.Option(help="Seeds between commas. Default: the suite's own.")]


@suite.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the suites."""
    from api.client.listing import Column, Listing
    from cil_core.spec.suites import SUITES

    if as_json:
        output.show_json([each.model_dump(mode="json") | {"runs": each.runs} for each in SUITES.values()])
        return
    table = Listing(
        [Column("suite"), Column("runs", right=True), Column("title", rank=1, moves=True, wraps=True)]
    )
    for each in SUITES.values():
        table.add(each.name, str(each.runs), each.title)
    output.show(table)


@suite.command()
def show(
    name: Name, dataset: Dataset = None, seeds: Seeds = None, as_json: AsJson = False, server: Server = None
) -> None:
    """Show what a suite contains and what it would cost.

    The cost is the computing time of the runs that the service has not finished yet.
    """
    from api.client.suites import cost

    chosen = _chosen(name, dataset, seeds)
    with connect(server) as client:
        price = cost(client, chosen)
    if as_json:
        costs = {
            "runs": price.runs,
            "finished": price.finished,
            "seconds_left": price.seconds,
            "unknown": price.unknown,
        }
        output.show_json(chosen.model_dump(mode="json") | costs)
        return
    output.say_wrapped(chosen.title)
    output.say("\n".join(["tracks", *(f"  {slug}" for slug in chosen.tracks)]))
    output.say_wrapped(f"seeds\n  {', '.join(map(str, chosen.seeds))}\nrecipes")
    for recipe in chosen.recipes:
        output.say_wrapped(f"  {json.dumps(recipe)}")
    for method, preset in chosen.half_base_presets.items():
        output.say_wrapped(f"  on B50 tracks: {json.dumps({'name': method, 'preset': preset})}")
    output.say_wrapped(f"cost\n  {price}")


@suite.command()
def run(
    name: Name,
    dataset: Dataset = None,
    seeds: Seeds = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Submit a suite, watch it, and print its leaderboards.

    Published results are printed next to them. An interrupted suite continues when you run it again.
    """
    from api.client import suites
    from api.client.http_session import segment
    from api.client.models import Leaderboard

    chosen, console = _chosen(name, dataset, seeds), output.progress_console()
    with connect(server, token) as client:
        output.progress_line(console, f"{chosen.name}: {suites.cost(client, chosen)}")
        jobs = suites.watch(client, suites.submit(client, chosen), console)
        answers = [client.get(f"/leaderboards/{segment(slug)}") for slug in chosen.tracks]
    failed = suites.failures(jobs)
    if as_json:
        output.show_json(
            {
                "suite": chosen.name,
                "jobs": [job.id for job in jobs],
                "failures": failed,
                "leaderboards": answers,
            }
        )
    else:
        output.show(suites.tables([Leaderboard.read(answer) for answer in answers]))
    for failure in failed:
        output.complain(failure)
    if failed:
        raise typer.Exit(1)


def _chosen(name: str, dataset: str | None, seeds: str | None) -> Suite:
    from cil_core.spec.suites import SUITES

    if name not in SUITES:
        raise typer.BadParameter(f"unknown suite {name!r}; choose one of {', '.join(SUITES)}")
    chosen = SUITES[name]
    try:
        chosen = chosen.on(dataset) if dataset else chosen
    except ValueError as error:
        raise typer.BadParameter(f"--dataset {dataset!r}: {error}") from None
    if not seeds:
        return chosen
    try:
        return chosen.model_copy(update={"seeds": tuple(int(seed) for seed in seeds.split(","))})
    except ValueError:
        raise typer.BadParameter(f"--seeds takes whole numbers between commas, not {seeds!r}") from None
