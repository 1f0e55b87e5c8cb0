"""`insert_if_absent`: INSERT … ON CONFLICT DO NOTHING on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.base import Base


def insert_if_absent(session: Session, model: type[Base], **values: Any) -> bool:
    """Insert a row unless a unique constraint forbids it.

    On PostgreSQL this waits for a concurrent transaction that inserted the same, and answers when that has ended.

    Returns:
        Whether it was inserted.
    """
    session.flush()
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(model).values(**values).on_conflict_do_nothing().returning(*inspect(model).primary_key)
    return session.execute(statement).first() is not None
