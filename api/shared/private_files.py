"""Files that hold secrets."""

from __future__ import annotations

from pathlib import Path

from cil_core.spec.atomic_write import PRIVATE, write_atomically


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read: atomically, and durably."""
    write_atomically(path, text, mode=PRIVATE)
