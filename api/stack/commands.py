"""Commands of the server's installation: `cil up`, `cil demo` and `cil import`.

Importing this module imports only typer: each command imports what it needs when it runs.
"""

# ruff: noqa: PLC0415 - see above
from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from api.client.connection import Connection

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir", help="Holds database, datasets, checkpoints and logs; a later start continues from it."
    ),
]


def up(
    port: Annotated[int, typer.Option(help="Port of the API; 0 picks a free one.", min=0, max=65_535)] = 8000,
    host: Annotated[str, typer.Option(help="Address the API listens on.")] = "127.0.0.1",
    data_dir: DataDir = Path("var/serve"),
    workers: Annotated[
        int, typer.Option(help="Worker processes; with 0 no run is executed.", min=0, max=64)
    ] = 1,
    slots: Annotated[
        int, typer.Option(help="Runs per worker at a time; 0 means one per core.", min=0, max=64)
    ] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda:N.")] = "cpu",
) -> None:
    """Start the whole service on this machine: Redis, database, API, workers."""
    from api.stack.embedded import Stack
    from api.stack.errors import CannotStartError

    def ready(connection: Connection) -> None:
        typer.echo(
            f"cil-leaderboard is ready: {connection.server}\ntoken: {connection.token}\n"
            f"(both are in {data_dir / 'connection.json'}; Ctrl-C stops the service)"
        )

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    try:
        Stack(data_dir, host, port, workers, slots or _cores(), device).run(ready)
    except CannotStartError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None


def demo(
    data_dir: DataDir = Path("var/demo"),
    suite: Annotated[
        str, typer.Option(help="The suite to submit; `cil suite list` lists them.")
    ] = "digits-quick",
) -> None:
    """Run the end-to-end demo: start the service, submit a suite, wait, print the leaderboard, stop."""
    from api.stack.demo import run_demo
    from cil_core.spec.suites import SUITES

    if suite not in SUITES:
        raise typer.BadParameter(f"unknown suite {suite!r}; known: {', '.join(SUITES)}", param_hint="--suite")
    raise typer.Exit(run_demo(data_dir, SUITES[suite]))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_snapshot(
    directory: Annotated[
        Path, typer.Argument(help="Folder that `cil export` wrote.", exists=True, file_okay=False)
    ],
    database_url: Annotated[
        str,
        typer.Option(
            envvar="CIL_DATABASE_URL",
            help="Database of the service; it is migrated to the newest schema first.",
        ),
    ],
) -> None:
    """Load a snapshot into a database, all or nothing; existing records stay unchanged."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    import migrations
    from api.client import snapshot
    from store.database.errors import StoreError
    from store.database.session import Database
    from store.snapshot import load

    try:
        records = snapshot.read(directory)
        migrations.upgrade(database_url)
        database = Database(database_url)
        with database.transaction() as session:
            new = load(session, records)
        database.dispose()
    except (
        snapshot.SnapshotError,
        StoreError,
        ValueError,
        KeyError,
        ArgumentError,
        SQLAlchemyError,
    ) as error:
        typer.secho(f"nothing was imported: {error}", fg="red", err=True)
        raise typer.Exit(2) from None
    typer.echo("new: " + ", ".join(f"{count} {kind}" for kind, count in new.items()))
