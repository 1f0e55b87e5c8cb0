"""Where the service is and which token to use.

Looked for in this order: what is given, `CIL_SERVER` with `CIL_TOKEN`, a service started in this directory by `cil up`, the one this user started
last on this machine, and the one remembered by `cil login`. A file of an embedded service exists exactly while that service runs.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from api.client.errors import NoServerError
from api.shared.private_files import write_private

FILE = "connection.json"
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


def find(server: str | None = None, token: str | None = None) -> Connection:
    """The connection to use; see the module.

    Raises:
        NoServerError: if there is none.
    """
    server, token = server or os.environ.get("CIL_SERVER"), token or os.environ.get("CIL_TOKEN")
    if server:
        return Connection(server=server.rstrip("/"), token=token)
    places = _files()
    for path in places:
        found = Connection.read(path)
        if found:
            return Connection(server=found.server, token=token or found.token)
    looked = ", ".join(map(str, places))
    raise NoServerError(
        f"no server is known: give --server, set CIL_SERVER, run `cil login URL`, or start one here with `cil up` (looked for {looked})"
    )


def login_file() -> Path:
    """Where `cil login` remembers a server."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "cil" / FILE


def running_link() -> Path:
    """Link to the connection of the service this user started last on this machine."""
    return login_file().with_name("running.json")


def link_running(path: Path) -> None:
    """Let `cil` find the service whose connection is in `path`, from whatever directory."""
    link = running_link()
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.symlink_to(path.resolve())
    temporary.replace(link)


def _files() -> list[Path]:
    chosen = os.environ.get("CIL_DATA_DIR")
    folders = [*([Path(chosen)] if chosen else []), *DEFAULT_DATA_DIRS]
    return [*(folder / FILE for folder in folders), running_link(), login_file()]
