"""Everything the store raises on purpose.

    StoreError
    ├── LeaseLost           this attempt no longer holds the run: stop, and write nothing more
    ├── ResultConflict      a task's result differs from the one already recorded, or the results are incomplete
    ├── NotFound            no row with this id
    ├── AlreadyTerminal     the job has ended; nothing is left to cancel
    ├── IdempotencyError
    │   ├── KeyReused       the key came with another body before
    │   └── KeyInFlight     the first request with this key has not been answered yet
    ├── InvalidCursor       a page cursor that this service did not make
    ├── NotReplayable       the run cannot be repeated: it has not succeeded, or what it ran on is not here any more
    ├── NotComparable       entries or tracks that cannot stand side by side
    └── AlreadyExists       a user or dataset of this name is there already, or another run of this id

A database that cannot be reached raises SQLAlchemy's `OperationalError`.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of the tree; the message says what was given and what was expected."""


class LeaseLost(StoreError):
    """The run is no longer held by this attempt."""


class ResultConflict(StoreError):
    """What is to be recorded contradicts what is."""


class NotFound(StoreError):
    """There is no such row."""


class AlreadyTerminal(StoreError):
    """The job has ended."""


class IdempotencyError(StoreError):
    """An idempotency key cannot be used for this request."""


class KeyReused(IdempotencyError):
    """The key belongs to another request body."""


class KeyInFlight(IdempotencyError):
    """The first request with this key is still being answered."""


class InvalidCursor(StoreError):
    """The cursor cannot be read."""


class NotReplayable(StoreError):
    """The run cannot be repeated; the message says why."""


class NotComparable(StoreError):
    """Entries or tracks cannot stand side by side; the message says why."""


class AlreadyExists(StoreError):
    """The name is taken."""
