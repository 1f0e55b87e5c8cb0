"""Tokens as the API answers them; the plain text of a token only once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cil_core.spec.base import PRINTABLE, Submitted
from store.access.accounts import Scope
from store.database.models import Token


class TokenRequest(Submitted):
    """A token to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "laptop", "scopes": ["jobs:write"], "days": 90}]},
    )

    name: Annotated[str, Field(min_length=1, max_length=80), PRINTABLE] = Field(description="A note for you.")
    scopes: list[Scope] = Field(
        min_length=1, max_length=10, description="What it shall allow: at most what the token you use allows."
    )
    days: int | None = Field(
        default=None, ge=1, le=3650, description="How long it is valid; for ever if left out."
    )


class TokenAnswer(BaseModel):
    """A token, without its plain text."""

    id: str
    name: str
    hint: str = Field(description="Its first characters.")
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewTokenAnswer(TokenAnswer):
    """A token that was just made."""

    token: str | None = Field(
        description="The token itself: shown now and never again; None when the same request had made it before."
    )


class Tokens(BaseModel):
    """One's own tokens, the newest first."""

    items: list[TokenAnswer]
    next_cursor: str | None = None


def token_answer(token: Token) -> TokenAnswer:
    """A token as it may be shown."""
    return TokenAnswer.model_validate(token, from_attributes=True)
