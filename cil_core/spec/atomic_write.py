"""Atomic, durable writes: a file holds either its old content or all of the new one, also after a power cut.

Decisions:
    * The new content is flushed to disk before it replaces the old one: else a power cut can leave an empty
      file. The folder is flushed afterwards: else a power cut can leave the old file.
    * The temporary file lies in the same folder, since a rename is atomic within one file system only.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""


def write_atomically(path: Path, data: bytes | str, *, mode: int = 0o666) -> None:
    """Write all of `data` (text as UTF-8) under `path`, or nothing.

    Args:
        path: the file; its folder must exist.
        data: the whole content.
        mode: permissions of the file, less the umask.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full; `path` keeps its old content.
    """
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.new")  # a long name gets no longer
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that what was created, renamed or deleted in it lasts."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
