"""Users and their bearer tokens.

Decisions:
    * A token is `cil_`, 256 random bits and a checksum: a mistyped or invented token is refused without a
      query, and secret scanners can find a leaked one.
    * Only its SHA-256 is stored: 256 random bits need no salt and no slow hash. The plain token is shown
      once.
    * A token has the scopes it was created with, as far as its user's role allows them today: a former
      administrator's tokens lose that scope at once.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from cil_core.spec.base import printable_line
from store.database.clock import now
from store.database.errors import AlreadyExists, NotFound
from store.database.ids import new_id
from store.database.models import Token, User
from store.database.upsert import insert_if_absent

_TOKEN = re.compile(r"cil_([0-9a-f]{64})([0-9a-f]{8})")
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
_USE_IS_DUE = or_(Token.last_used_at.is_(None), Token.last_used_at < now(-_USE_IS_NOTED_EVERY))
_OWNER = (
    select(User.id, User.name, User.role, Token.id, Token.scopes, _USE_IS_DUE)
    .join(User, User.id == Token.user_id)
    .where(Token.sha256 == bindparam("sha256"), Token.revoked_at.is_(None), User.disabled_at.is_(None))
    .where(or_(Token.expires_at.is_(None), Token.expires_at > now()))
)


MAX_NAME = 64
"""Characters of a user's name."""

MAX_SHARE = 100
"""Largest share of the workers."""


class Scope(StrEnum):
    """What a token allows."""

    jobs_write = "jobs:write"
    """Submit and cancel jobs."""
    results_write = "results:write"
    """Report results that were computed elsewhere."""
    tokens_write = "tokens:write"
    """Create and revoke one's own tokens."""
    admin = "admin"
    """Everything: users, datasets, other people's jobs."""


class Role(StrEnum):
    """What a user may do; reading needs no role."""

    viewer = "viewer"
    """Reads, as anyone may without a token."""
    submitter = "submitter"
    """Submits jobs, reports results, manages their own tokens."""
    admin = "admin"
    """Everything."""


ALLOWED = {
    Role.viewer: frozenset[Scope](),
    Role.submitter: frozenset(Scope) - {Scope.admin},
    Role.admin: frozenset(Scope),
}
"""The scopes that a token of a user with this role can have."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated user of a request, with the scopes of the token."""

    user_id: str
    user_name: str
    token_id: str
    scopes: frozenset[Scope]
    use_is_due: bool = False
    """Whether the last use of the token should be recorded again."""

    def may(self, scope: Scope) -> bool:
        """Whether the token has this scope, or all of them through `admin`."""
        return scope in self.scopes or Scope.admin in self.scopes


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. `plain` is available here only."""

    id: str
    plain: str


def create_user(session: Session, name: str, role: Role = Role.submitter) -> User:
    """Add a user.

    Raises:
        ValueError: the name has no visible character, more than 64 characters, or one that is not printable.
        AlreadyExists: the name is taken.
    """
    if len(name) > MAX_NAME:
        raise ValueError(f"a user's name has at most {MAX_NAME} characters; {len(name)} were given")
    try:
        printable_line(name)
    except ValueError as error:
        raise ValueError(f"not a user's name: {error}") from error
    user_id = new_id("usr")
    if not insert_if_absent(session, User, id=user_id, name=name, role=role):
        raise AlreadyExists(f"a user named {name!r} already exists")
    return session.get_one(User, user_id)


def imported_user(session: Session, name: str) -> User:
    """The user of this name, created as a viewer if missing.

    For records of another service: its older names are taken as they are.
    """
    insert_if_absent(session, User, id=new_id("usr"), name=name, role=Role.viewer)
    return session.scalars(select(User).where(User.name == name)).one()


def user_named(session: Session, name: str) -> User | None:
    """The user of this name."""
    return session.scalars(select(User).where(User.name == name)).one_or_none()


def user_names(session: Session, user_ids: Collection[str]) -> dict[str, str]:
    """The names of users by their ids."""
    return {
        row.id: row.name for row in session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    }


def set_role(session: Session, user_id: str, role: Role) -> None:
    """Change a user's role, which limits their tokens from now on.

    Raises:
        NotFound: no user has this id.
    """
    _change_user(session, user_id, role=role)


def set_share(session: Session, user_id: str, share: int) -> None:
    """Change a user's share of the workers: with 3, thrice as many runs as a user with 1.

    Raises:
        NotFound: no user has this id.
        ValueError: the share is not in 1 … 100.
    """
    if not 1 <= share <= MAX_SHARE:
        raise ValueError(f"a user's share is a whole number from 1 to {MAX_SHARE}, not {share}")
    _change_user(session, user_id, share=share)


def disable_user(session: Session, user_id: str) -> None:
    """Refuse this user's tokens from now on.

    Raises:
        NotFound: no user has this id.
    """
    _change_user(session, user_id, disabled_at=now())


def issue_token(
    session: Session, user_id: str, name: str, scopes: Iterable[str], lifetime: timedelta | None = None
) -> IssuedToken:
    """Create a token for a user.

    Args:
        session: a writing session.
        user_id: its owner.
        name: a note for people.
        scopes: what it allows.
        lifetime: how long it is valid; None without end.

    Raises:
        ValueError: for an unknown scope, or one that the user's role does not allow.
        NotFound: no user has this id.
    """
    given = sorted({_scope(scope) for scope in scopes})
    role = _role(session, user_id)
    if beyond := [scope for scope in given if scope not in ALLOWED[role]]:
        raise ValueError(
            f"the role {role} does not allow the scope {beyond[0].value!r};"
            f" allowed: {', '.join(sorted(ALLOWED[role])) or 'none'}"
        )
    plain = _new_token()
    token_id = new_id("tok")
    expires_at = None if lifetime is None else session.scalars(select(now(lifetime))).one()
    session.add(
        Token(
            id=token_id,
            user_id=user_id,
            name=name,
            hint=plain[:10],
            sha256=_hash(plain),
            scopes=[*given],
            expires_at=expires_at,
        )
    )
    session.flush()
    return IssuedToken(token_id, plain)


def authenticate(session: Session, token: str) -> Principal | None:
    """The owner of a token; None if it is unknown, revoked or expired, or its user is disabled."""
    if not _is_well_formed(token):
        return None
    found = session.execute(_OWNER, {"sha256": _hash(token)}).one_or_none()
    if found is None:
        return None
    user_id, user_name, role, token_id, scopes, due = found
    return Principal(
        user_id,
        user_name,
        token_id,
        frozenset(Scope(scope) for scope in scopes) & ALLOWED[Role(role)],
        use_is_due=due,
    )


def note_use(session: Session, token_id: str) -> None:
    """Record that a token is in use, at most once a minute."""
    session.execute(
        update(Token).where(Token.id == token_id, _USE_IS_DUE).values(last_used_at=now()),
        execution_options={"synchronize_session": False},
    )


def list_tokens(session: Session, user_id: str) -> list[Token]:
    """A user's tokens, the newest first, without their plain text."""
    return list(
        session.scalars(
            select(Token).where(Token.user_id == user_id).order_by(Token.created_at.desc(), Token.id.desc())
        )
    )


def revoke_token(session: Session, user_id: str, token_id: str) -> datetime:
    """Refuse a token from now on. Idempotent.

    Returns:
        When it was revoked first.

    Raises:
        NotFound: this user has no such token.
    """
    token = session.scalars(
        select(Token).where(Token.id == token_id, Token.user_id == user_id).with_for_update()
    ).one_or_none()
    if token is None:
        raise NotFound(f"this user has no token {token_id!r}")
    if token.revoked_at is None:
        token.revoked_at = session.scalars(select(now())).one()
        session.flush()
    return token.revoked_at


def _change_user(session: Session, user_id: str, **values: object) -> None:
    changed = update(User).where(User.id == user_id).values(**values).returning(User.id)
    if session.execute(changed, execution_options={"synchronize_session": False}).first() is None:
        raise NotFound(f"unknown user {user_id!r}")


def _role(session: Session, user_id: str) -> Role:
    role = session.scalars(select(User.role).where(User.id == user_id)).one_or_none()
    if role is None:
        raise NotFound(f"unknown user {user_id!r}")
    return Role(role)


def _scope(name: str) -> Scope:
    if name not in {scope.value for scope in Scope}:
        raise ValueError(f"unknown scope {name!r}; known: {', '.join(Scope)}")
    return Scope(name)


def _new_token() -> str:
    secret = secrets.token_hex(32)
    return f"cil_{secret}{_checksum(secret)}"


def _is_well_formed(token: str) -> bool:
    parts = _TOKEN.fullmatch(token)
    return parts is not None and _checksum(parts[1]) == parts[2]


def _checksum(secret: str) -> str:
    return f"{zlib.crc32(secret.encode()):08x}"


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
