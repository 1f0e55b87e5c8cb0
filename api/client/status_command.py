"""`cil status`: the workers and their runs, the queues, and the runs that failed and will be tried again."""

# ruff: noqa: PLC0415 - a command imports what it needs when it is called: see api.client.options
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from api.client import output
from api.client.options import AsJson, Server, connect
from api.shared.numbers import age

if TYPE_CHECKING:
    from api.client.listing import Listing


def status(as_json: AsJson = False, server: Server = None) -> None:
    """Show the workers, the queues and the runs to be tried again."""
    from api.client.listing import stacked

    with connect(server) as client:
        answer = client.get("/workers")
    if as_json:
        output.show_json(answer)
        return
    output.show(stacked(*_tables(answer)))
    if not answer["items"]:
        output.say("No worker was online within the last hour: start one with `cil worker`.")


def _tables(answer: dict[str, Any]) -> Iterator[Listing]:
    if answer["items"]:
        yield _workers(answer["items"])
    yield _queues(answer["queues"])
    if answer["setbacks"]:
        yield _setbacks(answer["setbacks"])


def _workers(workers: list[dict[str, Any]]) -> Listing:
    from api.client.listing import Column, Listing

    table = Listing(
        [
            Column("worker"),
            Column("device", rank=3, moves=True),
            Column("last seen", rank=1),
            Column("runs", rank=2, moves=True),
            Column("lease", rank=4, moves=True),
        ],
        title="workers",
    )
    for worker in workers:
        seen = "stopped" if worker["stopped_at"] else f"{age(worker['silent_seconds'])} ago"
        leases = [(_lease_name(lease), _left(lease["seconds_left"])) for lease in worker["leases"]]
        for number, lease in enumerate(leases or [("–", "–")]):
            table.add(*((worker["id"], worker["device"], seen) if number == 0 else ("", "", "")), *lease)
    return table


def _queues(queues: list[dict[str, Any]]) -> Listing:
    from api.client.listing import Column, Listing

    table = Listing(
        [
            Column("queue"),
            Column("queued", right=True),
            Column("ready", right=True),
            Column("oldest ready", right=True),
        ],
        title="queues",
    )
    for queue in queues:
        oldest = age(queue["oldest_seconds"])
        table.add(queue["name"], str(queue["length"]), str(queue["ready"]), oldest)
    if not queues:
        table.add("all", "0", "0", "–")
    return table


def _setbacks(setbacks: list[dict[str, Any]]) -> Listing:
    from api.client.listing import Column, Listing

    table = Listing(
        [
            Column("run"),
            Column("attempts", right=True),
            Column("next"),
            Column("reason", rank=1, moves=True, wraps=True),
        ],
        title="to be tried again",
    )
    for run in setbacks:
        due = "now" if run["seconds_left"] <= 0 else f"in {age(run['seconds_left'])}"
        table.add(f"{run['method']}, seed {run['seed']}", str(run["attempts"]), due, run["reason"] or "–")
    return table


def _lease_name(lease: dict[str, Any]) -> str:
    cancelling = " (cancelling)" if lease["cancel_requested"] else ""
    return f"{lease['method']}, seed {lease['seed']}{cancelling}"


def _left(seconds: float) -> str:
    return f"{age(seconds)} left" if seconds > 0 else f"expired {age(-seconds)} ago"


COMMANDS: tuple[Callable[..., None], ...] = (status,)
