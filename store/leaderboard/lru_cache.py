"""`Recent`: what was asked for last, up to a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values by key; those that nobody has asked for the longest go first. Safe to use from several threads.

    Args:
        most: what all values together may weigh; one that weighs more alone is not kept.
        weight: of a value; each counts 1 if not given.
    """

    def __init__(self, most: int, weight: Callable[[Value], int] = lambda _: 1) -> None:
        self._most = most
        self._weight = weight
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value that was kept under this key."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def keep(self, key: Key, value: Value) -> None:
        """Keep a value, in place of another under the same key."""
        weight = self._weight(value)
        if weight > self._most:
            return
        with self._lock:
            if key in self._values:
                self._held -= self._weight(self._values.pop(key))
            self._values[key] = value
            self._held += weight
            while self._held > self._most:
                self._held -= self._weight(self._values.popitem(last=False)[1])
