"""Users, their tokens, and the keys of their requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.database.base import Base
from store.database.clock import now


class User(Base):
    """A person or program that may submit."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[str] = mapped_column(  # store.access.accounts.Role
        String(16), default="submitter", server_default="submitter"
    )
    share: Mapped[int] = mapped_column(default=1, server_default="1")  # of workers, see `store.runs.turns`
    created_at: Mapped[datetime] = mapped_column(default=now())
    disabled_at: Mapped[datetime | None]


class Token(Base):
    """A bearer token, of which only the hash is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    hint: Mapped[str] = mapped_column(String(16))  # its first characters, to tell tokens apart in a list
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")


class IdempotencyKey(Base):
    """The key of an answered request: a repetition creates nothing."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    made: Mapped[str | None] = mapped_column(String(40))  # id of the created job, token or result
    created_at: Mapped[datetime] = mapped_column(default=now(), index=True)
