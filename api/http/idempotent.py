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
class Attempt:
    """One sending of a request.

    Attributes:
        made: id of what the request makes; None until this attempt makes it, the id if an earlier one did.
        replayed: whether an earlier attempt did.
    """

    made: str | None
    replayed: bool

    @property
    def result(self) -> str:
        """Id of what the request made."""
        assert self.made is not None  # noqa: S101 - `idempotent` is left with a result or by an exception
        return self.made


@contextmanager
def idempotent(
    session: Session, principal: Principal, key: str | None, meaning: dict[str, Any]
) -> Iterator[Attempt]:
    """Do a request's work once per key: the body works only if `attempt.made` is None, and sets it.

    Args:
        session: a writing session.
        principal: the sender.
        key: the header; without one every attempt works.
        meaning: the content of the request, independent of its spelling.

    Raises:
        KeyReused: the key belongs to another request.
        KeyInFlight: the first request with this key is still in progress.
    """
    if key is None:
        yield Attempt(None, replayed=False)
        return
    digest = hashlib.sha256(canonical_json(meaning).encode()).hexdigest()
    earlier = idempotency.reserve(session, principal.user_id, key, digest)
    attempt = Attempt(earlier, replayed=earlier is not None)
    yield attempt
    if not attempt.replayed:
        idempotency.keep(session, principal.user_id, key, attempt.result)
