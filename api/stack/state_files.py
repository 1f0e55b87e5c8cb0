"""Small files that the embedded stack keeps in its data directory: the secret key and the token.

Decisions:
    * A power cut can leave a file empty or cut. Either file can be made again, so a damaged one is replaced
      with a warning.
    * A file that the stack cannot read or replace stops the start, and the message names it.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from api.shared.private_files import write_private

log = logging.getLogger(__name__)

_SECRET_CHARACTERS = 64


def secret_key(path: Path) -> str:
    """The key that signs cursors; a new one if the file is missing or damaged."""
    kept = read_word(path)
    if kept is not None and len(kept) >= _SECRET_CHARACTERS:
        return kept
    if path.exists():
        log.warning("%s is damaged and replaced; cursors handed out before are refused", path)
    secret = secrets.token_hex(_SECRET_CHARACTERS // 2)
    write_private(path, secret)
    return secret


def read_word(path: Path) -> str | None:
    """The one word in a file, without white space around it.

    None if the file is missing, empty or holds something else.
    """
    try:
        word = path.read_bytes().strip().decode("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return word if word.isprintable() and " " not in word and word else None
