"""The header `Idempotency-Key`, and doing once what a request asks for however often it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Response
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
        description="The same key and request within 24 hours get the same answer; nothing is made twice.",
    ),
]


def once(
    session: Session,
    principal: Principal,
    key: str | None,
    meaning: dict[str, Any],
    make: Callable[[], str],
    response: Response,
) -> str:
    """Make what a request asks for, unless the same request has made it before.

    Args:
        session: a writing session.
        principal: who asks.
        key: the header; None makes it anyway.
        meaning: what is asked for, however it was spelled.
        make: makes it in this session and gives its id.
        response: is told whether it had been made before.

    Returns:
        The id.

    Raises:
        KeyReused: the key belongs to another request.
        KeyInFlight: the first request with this key is still being answered.
    """
    first = None
    if key is not None:
        first = idempotency.reserve(
            session, principal.user_id, key, hashlib.sha256(canonical_json(meaning).encode()).hexdigest()
        )
    made = first or make()
    if key is not None and first is None:
        idempotency.keep(session, principal.user_id, key, made)
    response.headers["Idempotency-Replayed"] = "true" if first else "false"
    return made
