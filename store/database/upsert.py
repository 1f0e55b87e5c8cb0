"""`insert_if_absent`: INSERT … ON CONFLICT DO NOTHING on both databases."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.database.base import Base

Row = TypeVar("Row", bound=Base)


def insert_if_absent(session: Session, model: type[Row], **values: Any) -> Row | None:
    """Insert a row unless a unique constraint forbids it.

    On PostgreSQL this waits until a concurrent transaction that inserted the same row has ended.

    Returns:
        The inserted row; None if another one exists.
    """
    session.flush()
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(model).values(**values).on_conflict_do_nothing().returning(model)
    return session.scalars(statement).one_or_none()
