"""`SharedCache`: the values used last, up to a limit, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SharedCache(Generic[Key, Value]):
    """Values by key; the least recently used ones are dropped first. Thread-safe.

    Args:
        most: the total weight of all values; a single value that weighs more is not kept.
        weight: of a value; each counts 1 if not given.
    """

    def __init__(self, most: int, weight: Callable[[Value], int] = lambda _: 1) -> None:
        self._values: LRUCache[Key, Value] = LRUCache(most, weight)
        self._weight = weight
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value under this key, which becomes the most recently used one."""
        with self._lock:
            return self._values.get(key)

    def keep(self, key: Key, value: Value) -> None:
        """Keep a value in place of any other under the same key."""
        with self._lock:
            self._values.pop(key, None)
            if self._weight(value) <= self._values.maxsize:
                self._values[key] = value
