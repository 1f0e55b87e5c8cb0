"""Bodies about tokens; only the response to a creation contains the token's text."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cil_core.spec.base import PRINTABLE, Submitted
from store.access.accounts import Scope
from store.database.models import Token


class TokenRequest(Submitted):
    """A token to create."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "laptop", "scopes": ["jobs:write"], "days": 90}]},
    )

    name: Annotated[str, Field(min_length=1, max_length=80), PRINTABLE] = Field(description="A note for you.")
    scopes: list[Scope] = Field(
        min_length=1,
        max_length=10,
        description="Scopes of the new token, at most those of the token you use.",
    )
    days: int | None = Field(
        default=None, ge=1, le=3650, description="Days until it expires; never by default."
    )


class TokenAnswer(BaseModel):
    """A token, without its text."""

    id: str
    name: str
    hint: str = Field(description="Its first characters.")
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewTokenAnswer(TokenAnswer):
    """A new token."""

    token: str | None = Field(
        description="The token's text, in this response only; None if an earlier request created it."
    )


class Tokens(BaseModel):
    """Your tokens, the newest first."""

    items: list[TokenAnswer]
    next_cursor: str | None = None


def token_answer(token: Token) -> TokenAnswer:
    """The body for a token."""
    return TokenAnswer.model_validate(token, from_attributes=True)
