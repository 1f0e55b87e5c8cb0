"""Where the service is and which token to use: given, from the environment, logged in, or the embedded service of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

DEFAULT_DATA_DIRS = (Path("var/serve"), Path("var/demo"))


class Connection(BaseModel):
    """A server's address and, for writing, a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    token: str | None = None

    @classmethod
    def read(cls, path: Path) -> Connection | None:
        """The connection in a file; None if there is no such file."""
        return cls.model_validate_json(path.read_text()) if path.exists() else None

    def write(self, path: Path) -> None:
        """Store it so that only its owner can read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, self.model_dump_json(indent=1))


class NoServerError(Exception):
    """No server is known; the message says where one was looked for."""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def login_file() -> Path:
    """Where `cil login` remembers a server."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "cil" / "connection.json"


def find(server: str | None = None, token: str | None = None) -> Connection:
    """The connection to use: what is given, then CIL_SERVER and CIL_TOKEN, then the embedded service of this directory, then `cil login`.

    Raises:
        NoServerError: if there is none.
    """
    server, token = server or os.environ.get("CIL_SERVER"), token or os.environ.get("CIL_TOKEN")
    if server:
        return Connection(server=server.rstrip("/"), token=token)
    for path in _files():
        found = Connection.read(path)
        if found:
            return Connection(server=found.server, token=token or found.token)
    places = ", ".join(map(str, _files()))
    raise NoServerError(f"no server is known: give --server, set CIL_SERVER, run `cil login URL`, or start one here with `cil up` (looked at {places})")


def _files() -> Iterator[Path]:
    if "CIL_DATA_DIR" in os.environ:
        yield Path(os.environ["CIL_DATA_DIR"]) / "connection.json"
    yield from (folder / "connection.json" for folder in DEFAULT_DATA_DIRS)
    yield login_file()
