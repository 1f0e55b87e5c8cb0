"""What can be stored on both databases: PostgreSQL takes neither the character NUL, nor half a surrogate pair, nor NaN in JSON.

Such things come from outside: log lines of a process that crashed, a loss that diverged, a name somebody typed. A report that cannot be written would cost
the reason with it, so they are replaced, visibly.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import JSON, Dialect, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def storable(value: Any) -> Any:
    """The same JSON value with every unstorable character replaced, and NaN and infinities by their names."""
    if isinstance(value, str):
        return (
            value.encode("utf-8", "replace").decode().replace("\0", _REPLACEMENT)
            if not value.isascii() or "\0" in value
            else value
        )
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


class Json(TypeDecorator[Any]):
    """JSON; binary on PostgreSQL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """JSONB where there is one."""
        return dialect.type_descriptor(
            JSONB(none_as_null=True) if dialect.name == "postgresql" else JSON(none_as_null=True)
        )

    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> TypeEngine[Any]:
        """What an index or a comparison is bound as: as JSON itself does it."""
        return self.impl_instance.coerce_compared_value(op, value)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - the interface's name
        """To what both databases take."""
        return storable(value)
