"""Parts that the commands of this package share: settings from the environment, tables."""

from __future__ import annotations

from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from store.database.session import Database
from workers.parent.retention import checkpoint_folders, is_removable, remove
from workers.parent.settings import WorkerSettings


def settings(data_dir: Path | None = None, keep: str | None = None) -> WorkerSettings:
    """The settings of the environment, overridden by the command line.

    Exits with code 2 if they are invalid.
    """
    given = {"data_dir": data_dir, "keep_checkpoints": keep}
    try:
        return WorkerSettings.model_validate(
            {
                **WorkerSettings().model_dump(),
                **{name: value for name, value in given.items() if value is not None},
            }
        )
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            name = "_".join(map(str, fault["loc"])).upper()
            typer.echo(f"{'CIL_' + name if name else 'settings'}: {fault['msg']}", err=True)
        raise typer.Exit(2) from error


def collect_garbage(settings: WorkerSettings, *, free: bool) -> None:
    """List the checkpoints of this machine; with `free`, delete those that the policy allows."""
    database = Database(settings.database_url.get_secret_value())
    with database.reading() as session:
        items = checkpoint_folders(session, settings.checkpoints)
    database.dispose()
    table = Table("run", "state", "MiB", "")
    for item in items:
        is_deletable = is_removable(item, settings.keep_checkpoints)
        if is_deletable and free:
            remove(item)
        table.add_row(
            item.run_id,
            item.state or "unknown run",
            f"{item.size_bytes / 2**20:.1f}",
            ("deleted" if free else "deletable") if is_deletable else "kept",
        )
    Console().print(table)
