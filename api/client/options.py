"""Options that several commands share, and what they do with them.

This module imports little, so that `cil --help` answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from api.client.sdk import Client

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        help="Address of the service. Default: CIL_SERVER, a service running here, or `cil login`.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="Bearer token for writing. Default: CIL_TOKEN, or the token stored with the server's address.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")]


def connect(server: str | None, token: str | None = None) -> Client:
    """The client of the service to use; raises NoServerError if none is configured."""
    from api.client.sdk import Client  # noqa: PLC0415 - it loads httpx

    return Client.found(server, token)


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises BadParameter if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path} is not readable as JSON: {error}") from None
