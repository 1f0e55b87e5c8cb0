"""The address of a service and the token to use.

They come from the first of: the arguments, `CIL_SERVER` with `CIL_TOKEN`, a service that `cil up` started in
this directory, the service this user started last on this machine, and the one stored by `cil login`.
An embedded service keeps its file exactly as long as it runs.

Decisions:
    * Addresses and tokens are stripped of white space and then checked, so that no HTTP library ever quotes a
      bad one.
    * A message about a token names the position of a character, never the character: messages end up in logs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.client.errors import ConfigurationError, NoServerError
from api.shared.private_files import write_private

FILE = "connection.json"
DEFAULT_DATA_DIRS = (Path("var/serve"), Path("var/demo"))


class Connection(BaseModel):
    """A server's address and, for writing, a token."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server: str
    token: str | None = Field(default=None, repr=False)

    @classmethod
    def read(cls, path: Path) -> Connection | None:
        """The connection in a file; None if the file does not exist.

        Raises:
            ConfigurationError: the file cannot be read, or holds something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
        except ValidationError:  # its message may quote the token
            remedy = (
                "run `cil login URL` again or delete the file"
                if path == login_file()
                else "restart the service or delete the file"
            )
            raise ConfigurationError(f"{path} is empty, cut off or not a connection; {remedy}") from None

    def write(self, path: Path) -> None:
        """Store it so that only its owner can read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, self.model_dump_json(indent=1))


def find(server: str | None = None, token: str | None = None) -> Connection:
    """The connection to use; the docstring of this module says where it comes from.

    Raises:
        NoServerError: no server is configured.
        ConfigurationError: an address or a token is unusable.
    """
    server = _given("--server", server, "CIL_SERVER", checked_server)
    token = _given("--token", token, "CIL_TOKEN", checked_token)
    if server:
        return Connection(server=server, token=token)
    places = _files()
    for path in places:
        stored = Connection.read(path)
        if stored:
            return Connection(
                server=checked_server(stored.server, str(path)),
                token=token or (checked_token(stored.token, str(path)) if stored.token else None),
            )
    searched = ", ".join(map(str, places))
    raise NoServerError(
        "no server is configured: give --server, set CIL_SERVER, run `cil login URL`, "
        f"or start a service here with `cil up` (searched: {searched})"
    )


def checked_server(server: str, source: str) -> str:
    """An address without white space around it and without a slash at its end.

    Args:
        server: as a person wrote it.
        source: what the message calls it, e.g. `CIL_SERVER`.

    Raises:
        ConfigurationError: it is not an http or https address of a server.
    """
    server = server.strip()
    _refuse_unusual_characters(server, source, "an address")
    try:
        parts = urlsplit(server)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    else:
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                f"{source}: an address must not contain a user name or password; give a token with --token"
            )
        usable = usable and not (parts.query or parts.fragment)
    if not usable:
        raise ConfigurationError(
            f"{source}: not the address of a server; an address looks like https://cil.example.org or "
            "http://127.0.0.1:8000"
        )
    return server.rstrip("/")


def checked_token(token: str, source: str) -> str | None:
    """A token without white space around it; None if nothing is left.

    Raises:
        ConfigurationError: it contains a character that no token has; the message does not show it.
    """
    token = token.strip()
    _refuse_unusual_characters(token, source, "a token")
    return token or None


def login_file() -> Path:
    """Where `cil login` stores a server.

    Raises:
        ConfigurationError: the user has no home directory.
    """
    return _config_directory() / "cil" / FILE


def running_link() -> Path:
    """Link to the connection of the service this user started last on this machine."""
    return login_file().with_name("running.json")


def link_running(path: Path) -> None:
    """Let `cil` find the service whose connection is in `path` from every directory."""
    link = running_link()
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.resolve())
    temporary.replace(link)


def _given(
    option: str, value: str | None, variable: str, check: Callable[[str, str], str | None]
) -> str | None:
    """The value of an option or else of a variable, checked; None if neither is set."""
    if value:
        return check(value, option)
    found = os.environ.get(variable, "").strip()
    return check(found, variable) if found else None


def _refuse_unusual_characters(text: str, source: str, what: str) -> None:
    for position, character in enumerate(text, start=1):
        if not "!" <= character <= "~":
            raise ConfigurationError(
                f"{source}: character {position} of {len(text)} is {_kind(character)}, "
                f"which {what} cannot contain"
            )


def _kind(character: str) -> str:
    if character in "\r\n":
        return "a newline"
    if character.isspace():
        return "white space"
    return "a control character" if character.isascii() else "not an ASCII character"


def _files() -> list[Path]:
    chosen = os.environ.get("CIL_DATA_DIR")
    folders = [*([Path(chosen)] if chosen else []), *DEFAULT_DATA_DIRS]
    return [*(folder / FILE for folder in folders), running_link(), login_file()]


def _config_directory() -> Path:
    chosen = os.environ.get("XDG_CONFIG_HOME")
    try:
        return Path(chosen) if chosen else Path.home() / ".config"
    except RuntimeError:
        raise ConfigurationError("no home directory: set HOME or XDG_CONFIG_HOME") from None
