"""The header `Idempotency-Key`: a request that is sent again has no second effect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header
from sqlalchemy.orm import Session

from cil_core.spec.base import canonical_json
from store.access import idempotency
from store.access.accounts import Principal

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeating a request with the same key within 24 hours returns the same response "
        "and has no second effect.",
    ),
]

REPLAYED = {replayed: {"Idempotency-Replayed": str(replayed).lower()} for replayed in (False, True)}
"""Response headers: whether an earlier request with the same key did the work."""


@dataclass(slots=True)
class KeyedRequest:
    """A request that may have been sent before with the same key.

    Attributes:
        made: id of what the request makes; None until it is made.
        replayed: whether an earlier request made it.
    """

    made: str | None
    replayed: bool

    @property
    def result(self) -> str:
        """Id of what the request made."""
        assert self.made is not None  # noqa: S101 - the body of `idempotent` sets it or raises
        return self.made


@contextmanager
def idempotent(
    session: Session, principal: Principal, key: str | None, meaning: dict[str, Any]
) -> Iterator[KeyedRequest]:
    """Do the work of a request once per key: the body does it only if `made` is None, and sets `made`.

    Args:
        session: a writing session.
        principal: the sender.
        key: the header; None always does the work.
        meaning: the content of the request, independent of its spelling.

    Raises:
        KeyReused: the key belongs to another request.
        KeyInFlight: the first request with this key is still in progress.
    """
    if key is None:
        yield KeyedRequest(None, replayed=False)
        return
    digest = hashlib.sha256(canonical_json(meaning).encode()).hexdigest()
    earlier = idempotency.reserve(session, principal.user_id, key, digest)
    keyed = KeyedRequest(earlier, replayed=earlier is not None)
    yield keyed
    if not keyed.replayed:
        idempotency.keep(session, principal.user_id, key, keyed.result)
