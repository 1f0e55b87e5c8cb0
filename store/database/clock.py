"""The database's clock: the only one that decides anything.

Decisions:
    * `now()` is an SQL expression, so that two machines with wrong clocks still agree on when a lease ends.
    * It is the time at which the *statement* began (PostgreSQL: statement_timestamp, which an index scan can
      use). A statement that waited for a lock sees a slightly earlier time, so a valid lease never looks
      expired.
    * Times are UTC. SQLite stores them as text with millisecond resolution, in the one format that sorts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Dialect, Float, TypeDecorator, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Timestamp(TypeDecorator[datetime]):
    """A moment: aware and in UTC on the Python side, on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; SQLite gets it without a zone.

        Raises:
            ValueError: for a datetime without a time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a datetime needs a time zone; {value!r} has none")
        return (
            value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value.astimezone(UTC)
        )

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the interface's name
        """From the database, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Now(FunctionElement[datetime]):
    """`now()` of the database plus a number of seconds."""

    name = "database_now"
    type = Timestamp()
    inherit_cache = True


def now(offset: timedelta = timedelta()) -> ColumnElement[datetime]:
    """The database's current time plus `offset`, as an SQL expression."""
    return _Now(bindparam(None, offset.total_seconds(), Float(), unique=True))


@compiles(_Now, "postgresql")
def _postgresql(element: _Now, compiler: SQLCompiler, **options: Any) -> str:
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(_Now, "sqlite")
def _sqlite(element: _Now, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', {seconds}))"
