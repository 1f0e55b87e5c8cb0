"""`Commands`: the group of `cil`, with the commands that other packages offer through the entry points `cil.commands`.

Decisions:
    * An offered command is imported when it is called or help is asked for; `cil jobs` does not even look for any.
    * All our packages come with every install, what they need does not. A command whose needs are missing is listed all the same; called, it says
      what is missing and what to install.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Command, Context  # typer brings its own click

_OURS = frozenset({"api", "cil_core", "store", "workers", "migrations"})
_EXTRAS = {"api": "embedded", "workers": "worker"}
"""By the package that offers a command: the extra that installs what it needs."""


@cache
def offered() -> EntryPoints:
    """The commands offered by installed packages."""
    return entry_points(group="cil.commands")


class Commands(TyperGroup):
    """The commands of the small install, then those offered by other packages."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Every name."""
        return [*super().list_commands(ctx), *sorted(offered().names)]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command of this name; None if there is none."""
        own = super().get_command(ctx, cmd_name)
        return own or (_load(offered()[cmd_name]) if cmd_name in offered().names else None)

    def invoke(self, ctx: Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as missing:
            name = ctx.invoked_subcommand
            if (missing.name or "").partition(".")[0] in _OURS or name is None:
                raise
            package = offered()[name].module.partition(".")[0] if name in offered().names else ""
            typer.secho(
                f"`cil {name}` needs {missing.name}: pip install 'cil-leaderboard[{_EXTRAS.get(package, 'embedded')}]'",
                fg="red",
                err=True,
            )
            raise typer.Exit(2) from None


def _load(entry: EntryPoint) -> Command:
    """The offered function or `typer.Typer` as a command."""
    try:
        target: typer.Typer | Callable[..., None] = entry.load()
    except ModuleNotFoundError as error:
        target = _failing(error)
    if isinstance(target, typer.Typer):
        app = target
    else:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(entry.name)(target)
    command = get_command(app)
    command.name = entry.name
    return command


def _failing(error: ModuleNotFoundError) -> Callable[[], None]:
    def command() -> None:
        raise error

    command.__doc__ = f"Not installed completely: {error.name} is missing."
    return command
