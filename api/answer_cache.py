"""`AnswerCache`: rendered answers of this process, kept for as long as what they say holds.

Decisions:
    * An answer is found by its ETag, and the tag names the revision of what it tells: a stale answer cannot be found, so nothing has to be thrown away in time.
    * Whoever asks pays one indexed query for the revision; the leaderboard itself is described once for each change.
    * The oldest answers go first when `MAX_BYTES` are reached.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

MAX_BYTES = 64 * 1024 * 1024


class AnswerCache:
    """Bodies by tag; safe to use from several threads.

    Args:
        max_bytes: what all bodies together may have.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, tag: str) -> bytes | None:
        """The body that was kept under this tag."""
        with self._lock:
            body = self._bodies.get(tag)
            if body is not None:
                self._bodies.move_to_end(tag)
            return body

    def keep(self, tag: str, body: bytes) -> None:
        """Keep a body; one that is larger than the whole cache is not kept."""
        if len(body) > self._max_bytes:
            return
        with self._lock:
            self._held += len(body) - len(self._bodies.pop(tag, b""))
            self._bodies[tag] = body
            while self._held > self._max_bytes:
                _, oldest = self._bodies.popitem(last=False)
                self._held -= len(oldest)
