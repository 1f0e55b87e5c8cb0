"""Options that several commands share, and what they do with them. Light to import: `cil --help` must answer at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from api.client.sdk import Client

Server = Annotated[
    str | None,
    typer.Option(
        "--server", help="Address of the service; else CIL_SERVER, a service started here, or `cil login`."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", help="Bearer token for writing; else CIL_TOKEN or the one beside the server's address."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")]


def connect(server: str | None, token: str | None = None) -> Client:
    """The client of the service to use; raises NoServerError if none is known."""
    from api.client.sdk import Client  # noqa: PLC0415 - it loads httpx

    return Client.found(server, token)


def read_json(path: Path) -> Any:
    """What a file holds; raises BadParameter if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None


def show(what: RenderableType) -> None:
    """Print a result for people."""
    _console().print(what, highlight=False)


def show_json(value: Any) -> None:
    """Print a result for scripts."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def progress_console() -> Console:
    """Standard error: where progress goes, so that results can be piped."""
    return _console(stderr=True)


def _console(stderr: bool = False) -> Console:
    from rich.console import Console  # noqa: PLC0415 - see the module

    return Console(stderr=stderr)
