"""`cil compare`: entries side by side, and methods over several tracks."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called: see api.client.options
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.client.options import AsJson, Server, connect, show, show_json
from api.shared.variants import titled

if TYPE_CHECKING:
    from rich.table import Table

_NUMBERS = {"average_accuracy": "avg acc", "last_accuracy": "last acc"}


def compare(
    entries: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of 2 to 8 entries of one track, as `cil leaderboard --json` gives them."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The entry the others are compared with; the first one if not given.")
    ] = None,
    tracks: Annotated[
        list[str] | None,
        typer.Option("--track", "-t", help="Instead of entries: rank methods over these tracks; repeatable."),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Compare entries over shared seeds, with paired tests; or methods over tracks, with their average ranks."""
    if bool(entries) == bool(tracks):
        raise typer.BadParameter("give entries, or tracks with --track, not both and not neither")
    if tracks and baseline:
        raise typer.BadParameter("--baseline belongs to entries: over tracks, all methods are ranked")
    with connect(server) as client:
        answer = client.compare_tracks(tracks) if tracks else client.compare(entries or [], baseline=baseline)
    if as_json:
        show_json(answer)
    elif tracks:
        show(_ranks(answer))
    else:
        show(_differences(answer))


def _differences(answer: dict[str, Any]) -> Table:
    names = {item["id"]: titled(item["title"], item["variant"]) for item in answer["items"]}
    table = _table(
        f"against {names[answer['baseline']]} on {answer['track_slug']}",
        ("entry", "number", "difference", "95 % interval", "p (Holm)", "Wilcoxon p (least)", "seeds"),
    )
    table.caption = (
        "percentage points over shared seeds, intervals uncorrected; p by the paired t test, corrected for all comparisons; "
        "Wilcoxon's p beside the least it can be with so many seeds"
    )
    for difference in answer["differences"]:
        for place, (metric, short) in enumerate(_NUMBERS.items()):
            test = difference["tests"][metric]
            cells = (
                _points(test["mean"]),
                _interval(test["interval"]),
                _p(test["t_p_holm"]),
                _wilcoxon(test),
                str(len(test["seeds"])),
            )
            table.add_row(names[difference["entry"]] if place == 0 else "", short, *cells)
    return table


def _ranks(answer: dict[str, Any]) -> Table:
    ranking = answer["ranking"]
    table = _table(f"ranks over {len(answer['tracks'])} tracks", ("method", "average rank"))
    table.caption = f"ranks closer than {ranking['critical_difference']:.2f} cannot be told apart (Nemenyi); Friedman p {_p(ranking['friedman_p'])}"
    for name, rank in zip(ranking["names"], ranking["average_ranks"], strict=True):
        table.add_row(name, f"{rank:.2f}")
    return table


def _wilcoxon(test: dict[str, Any]) -> str:
    return "–" if test["wilcoxon_p"] is None else f"{_p(test['wilcoxon_p'])} ({_p(test['wilcoxon_least_p'])})"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.2f}"


def _interval(values: Sequence[float] | None) -> str:
    return "–" if values is None else f"{_points(values[0])} … {_points(values[1])}"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(title: str, headings: tuple[str, ...]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right", no_wrap=place > 0)
    return table


COMMANDS: tuple[Callable[..., None], ...] = (compare,)
