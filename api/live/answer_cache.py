"""`AnswerCache`: rendered answers of this process, kept for as long as what they say holds.

Decisions:
    * An answer is found by its ETag, and the tag names the revision of what it tells: a stale answer cannot be found, so nothing has to be thrown away in time.
    * Whoever asks pays one indexed query for the revision; the leaderboard itself is described once for each change.
    * The oldest answers go first when `MAX_BYTES` are reached.
"""

from __future__ import annotations

from store.leaderboard.lru_cache import SharedCache

MAX_BYTES = 64 * 1024 * 1024


class AnswerCache(SharedCache[str, bytes]):
    """Bodies by tag.

    Args:
        max_bytes: what all bodies together may have.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(max_bytes, weight=len)
