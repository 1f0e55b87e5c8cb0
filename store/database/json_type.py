"""Values that both databases can store: PostgreSQL refuses NUL, half surrogate pairs, and NaN in JSON.

Such values come from outside: log lines of a crashed process, a loss that diverged, a typed name. Refusing
them would lose the report that contains them, so they are replaced, visibly.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import JSON, Dialect, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def sanitised(value: Any) -> Any:
    """The same JSON value with every unstorable character replaced, and NaN and infinities as text."""
    if isinstance(value, str):
        return (
            value.encode("utf-8", "replace").decode().replace("\0", _REPLACEMENT)
            if not value.isascii() or "\0" in value
            else value
        )
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {sanitised(key): sanitised(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sanitised(item) for item in value]
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
        """The type of a compared or indexed value: that of the underlying JSON type."""
        return self.impl_instance.coerce_compared_value(op, value)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - the interface's name
        """Replace what cannot be stored."""
        return sanitised(value)
