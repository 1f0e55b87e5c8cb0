"""Readable identifiers: `job_…`, `run_…`, and 26 characters that sort by time of creation.

Decisions:
    * 48 bits of milliseconds and 80 random bits in Crockford's base 32, as a ULID, in lower case.
    * The time is the creating machine's clock. It helps the index and people only; decisions use the
      database's clock.
"""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26


def new_id(prefix: str) -> str:
    """A new identifier, e.g. `run_01k9x3v8…`."""
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(_LENGTH)))


def new_ids(prefix: str, count: int) -> list[str]:
    """`count` new identifiers in ascending order."""
    return sorted(new_id(prefix) for _ in range(count))
