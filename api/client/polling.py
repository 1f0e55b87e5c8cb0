"""`Pauses`: how long to wait before the next request for something that may have changed."""

from __future__ import annotations

import time
from typing import Any

GROWTH = 1.5
LONGEST_SECONDS = 5.0


class Pauses:
    """Pauses that grow while nothing changes, and are short again after each change.

    Args:
        shortest_seconds: the first pause, and the one after each change.
    """

    def __init__(self, shortest_seconds: float) -> None:
        self._shortest = shortest_seconds
        self._next = shortest_seconds
        self._seen: Any = None

    def sleep(self, seen: Any) -> None:
        """Sleep.

        Args:
            seen: what was observed; anything unlike the last observation is a change.
        """
        self._next = self._shortest if seen != self._seen else min(self._next * GROWTH, LONGEST_SECONDS)
        self._seen = seen
        time.sleep(self._next)
