"""`cil compare`: entries of one track against a baseline, or methods over several tracks."""

# ruff: noqa: PLC0415 - a command imports what it needs when it is called: see api.client.options
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client import output
from api.client.options import AsJson, Server, connect
from api.shared.numbers import MISSING, p_value, points
from api.shared.variants import titled

if TYPE_CHECKING:
    from api.client.listing import Listing

_METRICS = {"average_accuracy": "avg acc", "last_accuracy": "last acc"}


def compare(
    entries: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of 2 to 8 entries of one track, from `cil leaderboard --json`."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Id of the entry that the others are compared with. Default: the first."),
    ] = None,
    tracks: Annotated[
        list[str] | None,
        typer.Option("--track", "-t", help="Instead of entries: a track to rank methods over; repeatable."),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Compare entries of one track, or methods over several tracks.

    Entries are compared over shared seeds with paired tests, methods by their average ranks.
    """
    if bool(entries) == bool(tracks):
        raise typer.BadParameter("give either entries or tracks (--track)")
    if tracks and baseline:
        raise typer.BadParameter("--baseline cannot be combined with --track: all methods are ranked")
    with connect(server) as client:
        answer = client.compare_tracks(tracks) if tracks else client.compare(entries or [], baseline=baseline)
    if as_json:
        output.show_json(answer)
    else:
        output.show(_ranks(answer) if tracks else _differences(answer))


def _differences(answer: dict[str, Any]) -> Listing:
    from api.client.listing import Column, Listing

    names = {item["id"]: titled(item["title"], item["variant"]) for item in answer["items"]}
    table = Listing(
        [
            Column("entry", rank=4, moves=True),
            Column("metric"),
            Column("difference", right=True),
            Column("95 % interval", right=True),
            Column("p (Holm)", right=True),
            Column("Wilcoxon p (least)", right=True, rank=3),
            Column("seeds", right=True, rank=1),
        ],
        title=f"against {names[answer['baseline']]} on {answer['track_slug']}",
        notes=[
            "Differences in percentage points over shared seeds, with uncorrected intervals.",
            "p: paired t test, corrected for all comparisons. "
            "Wilcoxon p (least): with the smallest value that so many seeds allow.",
        ],
    )
    for difference in answer["differences"]:
        for metric, heading in _METRICS.items():
            test = difference["tests"][metric]
            table.add(
                names[difference["entry"]],
                heading,
                points(test["mean"]),
                _interval(test["interval"]),
                p_value(test["t_p_holm"]),
                _wilcoxon(test),
                str(len(test["seeds"])),
            )
    return table


def _ranks(answer: dict[str, Any]) -> Listing:
    from api.client.listing import Column, Listing

    ranking = answer["ranking"]
    table = Listing(
        [Column("method"), Column("average rank", right=True)],
        title=f"ranks over {len(answer['tracks'])} tracks",
        notes=[
            f"Differences of ranks below {ranking['critical_difference']:.2f} are not significant "
            f"(Nemenyi test); Friedman p {p_value(ranking['friedman_p'])}."
        ],
    )
    for name, rank in zip(ranking["names"], ranking["average_ranks"], strict=True):
        table.add(name, f"{rank:.2f}")
    return table


def _wilcoxon(test: dict[str, Any]) -> str:
    if test["wilcoxon_p"] is None:
        return MISSING
    return f"{p_value(test['wilcoxon_p'])} ({p_value(test['wilcoxon_least_p'])})"


def _interval(values: Sequence[float] | None) -> str:
    return MISSING if values is None else f"{points(values[0])} … {points(values[1])}"


COMMANDS: tuple[Callable[..., None], ...] = (compare,)
