"""Every exception that the store defines.

    StoreError
    ├── LeaseLost           this attempt no longer holds the run: stop, and write nothing more
    ├── ResultConflict      a task's result differs from the recorded one, or the results are incomplete
    ├── NotFound            no row has this id
    ├── AlreadyTerminal     the job has ended; nothing is left to cancel
    ├── IdempotencyError
    │   ├── KeyReused       the first request with this key had another body
    │   └── KeyInFlight     the first request with this key is still in progress
    ├── InvalidCursor       a page cursor that this service did not make
    ├── NotReplayable       the run has not succeeded, or its engine or data are not available any more
    ├── NotComparable       entries or tracks that cannot be compared
    └── AlreadyExists       the name of a user or dataset is taken, or another run has this id

A database that cannot be reached raises SQLAlchemy's `OperationalError`.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of the tree; the message says what was given and what is allowed."""


class LeaseLost(StoreError):
    """The run is no longer held by this attempt."""


class ResultConflict(StoreError):
    """A result contradicts what is recorded."""


class NotFound(StoreError):
    """No row has this id."""


class AlreadyTerminal(StoreError):
    """The job has ended."""


class IdempotencyError(StoreError):
    """An idempotency key cannot be used for this request."""


class KeyReused(IdempotencyError):
    """The key belongs to another request body."""


class KeyInFlight(IdempotencyError):
    """The first request with this key is still in progress."""


class InvalidCursor(StoreError):
    """The cursor cannot be read."""


class NotReplayable(StoreError):
    """The run cannot be repeated; the message says why."""


class NotComparable(StoreError):
    """The entries or tracks cannot be compared; the message says why."""


class AlreadyExists(StoreError):
    """The name is taken."""
