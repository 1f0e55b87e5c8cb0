"""`cil status`: who works, on what, until when; what waits; and what was lost and why."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called: see api.client.options
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from api.client.options import AsJson, Server, connect, show, show_json

if TYPE_CHECKING:
    from rich.table import Table


def status(as_json: AsJson = False, server: Server = None) -> None:
    """The workers with their leases, the queues, and the runs that wait to be tried again."""
    with connect(server) as client:
        answer = client.get("/workers")
    if as_json:
        show_json(answer)
        return
    for table in _tables(answer):
        show(table)
    if not answer["items"]:
        typer.echo("No worker was heard of within the last hour: start one with `cil worker`.")


def _tables(answer: dict[str, Any]) -> Iterator[Table]:
    if answer["items"]:
        yield _table(
            "workers",
            ("worker", "device", "heard of", "holds", "lease"),
            [cells for worker in answer["items"] for cells in _worker(worker)],
        )
    queues = [
        (queue["name"], str(queue["length"]), str(queue["ready"]), age(queue["oldest_seconds"]))
        for queue in answer["queues"]
    ]
    yield _table("queues", ("queue", "queued", "ready", "oldest ready"), queues or [("all", "0", "0", "–")])
    if answer["setbacks"]:
        rows = [
            (
                f"{run['method']}, seed {run['seed']}",
                str(run["attempts"]),
                "now" if run["seconds_left"] <= 0 else f"in {age(run['seconds_left'])}",
                run["reason"] or "–",
            )
            for run in answer["setbacks"]
        ]
        yield _table("to be tried again", ("run", "attempts", "next", "reason"), rows)


def _worker(worker: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    heard = "stopped" if worker["stopped_at"] else f"{age(worker['silent_seconds'])} ago"
    first = (worker["id"], worker["device"], heard)
    leases = [
        (
            f"{lease['method']}, seed {lease['seed']}"
            + (" (cancelling)" if lease["cancel_requested"] else ""),
            _left(lease["seconds_left"]),
        )
        for lease in worker["leases"]
    ]
    for number, cells in enumerate(leases or [("–", "–")]):
        yield (*(first if number == 0 else ("", "", "")), *cells)


def _left(seconds: float) -> str:
    return f"{age(seconds)} left" if seconds > 0 else f"ran out {age(-seconds)} ago"


def age(seconds: float | None) -> str:
    """A duration in one unit, as people say it."""
    if seconds is None:
        return "–"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _table(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, title=title, title_justify="left", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


COMMANDS: tuple[Callable[..., None], ...] = (status,)
