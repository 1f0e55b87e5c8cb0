"""`Commands`: the group of `cil`, with the commands of other packages: their entry points `cil.commands`.

Decisions:
    * A registered command is imported when it is called or help is requested; `cil jobs` does not even look
      for any.
    * Every install contains all our packages, but not all that they need. A command with missing packages is
      listed all the same; called, it names the missing package and what to install.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from api.client.output import complain

if TYPE_CHECKING:
    from typer._click import Command, Context  # typer brings its own click

_OURS = frozenset({"api", "cil_core", "store", "workers", "migrations"})
_EXTRAS = {"api": "embedded", "workers": "worker"}
"""Package of a command → the extra that installs what it needs."""


@cache
def registered() -> EntryPoints:
    """The commands that installed packages register."""
    return entry_points(group="cil.commands")


class Commands(TyperGroup):
    """The commands of the small install, then those of other packages."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Every name."""
        return [*super().list_commands(ctx), *sorted(registered().names)]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command of this name; None if it does not exist."""
        own = super().get_command(ctx, cmd_name)
        return own or (_load(registered()[cmd_name]) if cmd_name in registered().names else None)

    def invoke(self, ctx: Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as missing:
            name = ctx.invoked_subcommand
            if (missing.name or "").partition(".")[0] in _OURS or name is None:
                raise
            package = registered()[name].module.partition(".")[0] if name in registered().names else ""
            extra = _EXTRAS.get(package, "embedded")
            complain(f"`cil {name}` needs the package {missing.name}: pip install 'cil-leaderboard[{extra}]'")
            raise typer.Exit(2) from None


def _load(entry: EntryPoint) -> Command:
    """The registered function or `typer.Typer` as a command."""
    try:
        target: typer.Typer | Callable[..., None] = entry.load()
    except ModuleNotFoundError as error:
        target = _unavailable(error)
    if isinstance(target, typer.Typer):
        app = target
    else:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(entry.name)(target)
    command = get_command(app)
    command.name = entry.name
    return command


def _unavailable(error: ModuleNotFoundError) -> Callable[[], None]:
    def command() -> None:
        raise error

    command.__doc__ = f"Unavailable: the package {error.name} is missing."
    return command
