"""`Base` of every table: column types, constraint names, and partial indexes on both databases."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Enum, Index, MetaData, literal, or_, text
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute

from store.database.clock import Timestamp
from store.database.json_type import Json
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState


def _enum(kind: type[StrEnum], name: str) -> Enum:
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda states: [state.value for state in states],
    )


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: Timestamp(),
        dict[str, Any]: Json(),
        list[int]: Json(),
        list[float]: Json(),
        list[str]: Json(),
        list[list[float]]: Json(),
        RunState: _enum(RunState, "state"),
        JobState: _enum(JobState, "state"),
        AttemptOutcome: _enum(AttemptOutcome, "outcome"),
        FailureClass: _enum(FailureClass, "failure"),
    }


def is_in(column: InstrumentedAttribute[Any], *states: StrEnum) -> ColumnElement[bool]:
    """`column` is one of `states`.

    The values are part of the statement's text, so that a partial index can serve it.
    """
    return or_(*(column == literal(state, column.type, literal_execute=True) for state in states))


def partial_index(name: str, *columns: Any, where: str, unique: bool = False) -> Index:
    """An index over the rows that satisfy `where`."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
