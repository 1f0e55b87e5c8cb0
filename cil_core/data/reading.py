"""`read_ahead`: a few threads read batches before they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from torch import Tensor

AHEAD = 4
"""Batches read ahead of the consumer."""

READERS = 2


Read = TypeVar("Read")


def read_ahead(read: Callable[[Tensor], Read], requests: Iterable[Tensor]) -> Iterator[Read]:
    """`read` of each request, in order; a consumer that stops early leaves no thread behind."""
    waiting = iter(requests)
    with ThreadPoolExecutor(READERS) as readers:
        reading: deque[Future[Read]] = deque(readers.submit(read, each) for each in islice(waiting, AHEAD))
        while reading:
            found = reading.popleft().result()
            reading.extend(readers.submit(read, each) for each in islice(waiting, 1))
            yield found
