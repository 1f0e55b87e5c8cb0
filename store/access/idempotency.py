"""Idempotency keys: a repeated request creates nothing and gets the first answer.

Decisions:
    * The key is written in the transaction that does the work: neither exists without the other.
    * A request that arrives while the first one is in progress waits a few seconds for its answer.
    * A key belongs to its owner and expires after 24 hours; the workers' caretakers delete expired keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import delete, exc, select, text, update
from sqlalchemy.orm import Session

from store.database.clock import now
from store.database.errors import KeyInFlight, KeyReused
from store.database.models import IdempotencyKey
from store.database.upsert import insert_if_absent

LIFETIME = timedelta(hours=24)
_PATIENCE = "5s"
_LOCK_NOT_AVAILABLE = "55P03"
"""The SQLSTATE. The driver's own class would import PostgreSQL's driver for a service on SQLite."""


def reserve(session: Session, owner: str, key: str, body_digest: str) -> str | None:
    """Take a key for the request that this transaction answers.

    Args:
        session: a writing session; the caller does the work in the same one and then calls `keep`.
        owner: the owner of the key.
        key: as the client sent it.
        body_digest: digest of the request's meaning.

    Returns:
        None if the key is new; else the id of what the first request created.

    Raises:
        KeyReused: the first request with this key had another body.
        KeyInFlight: the first request is still in progress.
    """
    mine = (IdempotencyKey.owner == owner, IdempotencyKey.key == key)
    with _limited_patience(session, key):
        session.execute(
            delete(IdempotencyKey).where(*mine, IdempotencyKey.created_at < now(-LIFETIME)),
            execution_options={"synchronize_session": False},
        )
        if insert_if_absent(session, IdempotencyKey, owner=owner, key=key, body_digest=body_digest):
            return None
    first = session.scalars(select(IdempotencyKey).where(*mine)).one()
    if first.body_digest != body_digest:
        raise KeyReused(
            f"the idempotency key {key!r} was used for another request; use a new key for a new request"
        )
    return first.made


def keep(session: Session, owner: str, key: str, made: str) -> None:
    """Bind a reserved key to the id of what its request created."""
    bound = update(IdempotencyKey).where(IdempotencyKey.owner == owner, IdempotencyKey.key == key)
    session.execute(bound.values(made=made), execution_options={"synchronize_session": False})


def delete_expired(session: Session) -> int:
    """Delete the keys that are older than 24 hours.

    Returns:
        How many were deleted.
    """
    expired = (
        delete(IdempotencyKey).where(IdempotencyKey.created_at < now(-LIFETIME)).returning(IdempotencyKey.key)
    )
    return len(session.scalars(expired, execution_options={"synchronize_session": False}).all())


@contextmanager
def _limited_patience(session: Session, key: str) -> Iterator[None]:
    # SQLite has one writer at a time: a transaction that writes never waits for a key.
    if session.get_bind().dialect.name != "postgresql":
        yield
        return
    session.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
    try:
        yield
    except exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise KeyInFlight(
                f"the first request with the idempotency key {key!r} is still in progress;"
                " try again in a few seconds"
            ) from error
        raise
    session.execute(text("SET LOCAL lock_timeout = DEFAULT"))
