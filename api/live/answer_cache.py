"""`AnswerCache`: rendered responses of this process, found by their ETag.

Decisions:
    * The tag contains the revision of the data, so a stale response cannot be found and needs no
      invalidation.
    * A request costs one indexed query for the revision; a leaderboard is rendered once per change.
    * The least recently used responses are evicted at `MAX_BYTES`.
"""

from __future__ import annotations

from store.leaderboard.lru_cache import SharedCache

MAX_BYTES = 64 * 1024 * 1024


class AnswerCache(SharedCache[str, bytes]):
    """Bodies by tag.

    Args:
        max_bytes: total size of all bodies.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(max_bytes, weight=len)
