"""Dependencies of routes: the database, the settings, the authenticated user and the parts of the process.

Decisions:
    * A route opens its own transaction and commits it before it responds: one request is one transaction.
    * A dependency that never blocks is a coroutine, because FastAPI runs every other one in a thread.
    * Reads are public and unlimited. A write needs a bearer token with the right scope, checked before the
      body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api.http import problems
from api.http.cursors import Cursors
from api.http.problems import Problem
from api.http.rates import Rates, Usage
from api.live.answer_cache import AnswerCache
from api.live.event_feed import EventFeed
from api.live.revisions import Revisions
from api.live.ringer import Ringer
from api.settings import Settings
from store.access import accounts
from store.access.accounts import Principal, Scope
from store.database.session import Database

_BEARER = HTTPBearer(auto_error=False, description="A token of this service: `cil_…`.")


async def _settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]


async def _database(request: Request) -> Database:
    return request.app.state.database  # type: ignore[no-any-return]


async def _ringer(request: Request) -> Ringer:
    return request.app.state.ringer  # type: ignore[no-any-return]


async def _cursors(request: Request) -> Cursors:
    return request.app.state.cursors  # type: ignore[no-any-return]


async def _feed(request: Request) -> EventFeed:
    return request.app.state.feed  # type: ignore[no-any-return]


async def _answers(request: Request) -> AnswerCache:
    return request.app.state.answers  # type: ignore[no-any-return]


async def _revisions(request: Request) -> Revisions:
    return request.app.state.revisions  # type: ignore[no-any-return]


AnswersDep = Annotated[AnswerCache, Depends(_answers)]
RevisionsDep = Annotated[Revisions, Depends(_revisions)]
SettingsDep = Annotated[Settings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]
RingerDep = Annotated[Ringer, Depends(_ringer)]
CursorsDep = Annotated[Cursors, Depends(_cursors)]
FeedDep = Annotated[EventFeed, Depends(_feed)]


def requires(scope: Scope, *, to_read: bool = False) -> Callable[..., Principal]:
    """A dependency: the owner of the request's token.

    Args:
        scope: required of the token.
        to_read: the request writes nothing, so it does not count against the rate.

    Raises:
        Problem: unauthenticated without a valid token, forbidden without the scope, too-many-requests beyond
            the rates of the settings.
    """

    def principal(
        request: Request,
        response: Response,
        database: DatabaseDep,
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> Principal:
        return authenticated(
            request, response, database, given.credentials if given else None, scope, to_read=to_read
        )

    return principal


def authenticated(
    request: Request,
    response: Response,
    database: Database,
    token: str | None,
    scope: Scope,
    *,
    to_read: bool = False,
) -> Principal:
    """The owner of `token`; headers of `response` report the rest of its rate.

    Raises:
        Problem: as `requires`.
    """
    rates, address = rates_of(request), request.client.host if request.client else "unknown"
    settings: Settings = request.app.state.settings
    if token is None:
        raise _unauthenticated("no token was sent", "")
    with database.reading() as session:
        found = accounts.authenticate(session, token)
    if found is None:
        # Only requests with invalid tokens are refused: other users may share the address.
        within(rates.hit("invalid tokens", address, settings.failures_per_minute), "invalid tokens")
        raise _unauthenticated("the token is unknown, expired or revoked", ', error="invalid_token"')
    if not to_read:
        usage = within(
            rates.hit("writes", found.token_id, settings.writes_per_minute), "requests with this token"
        )
        response.headers.update(usage.headers)
    if not found.may(scope):
        scopes = ", ".join(sorted(found.scopes)) or "none"
        raise Problem(problems.FORBIDDEN, f"the scope {scope.value!r} is required; this token has: {scopes}")
    return found


def rates_of(request: Request) -> Rates:
    """The rate limits of this process."""
    return request.app.state.rates  # type: ignore[no-any-return]


def within(usage: Usage, what: str) -> Usage:
    """The usage of a limit, if it allows the request; `what` names the limited requests.

    Raises:
        Problem: too-many-requests.
    """
    if not usage.allowed:
        raise Problem(
            problems.TOO_MANY_REQUESTS,
            f"{usage.limit} {what} are allowed per minute",
            headers=usage.headers,
        )
    return usage


def _reader(
    request: Request,
    response: Response,
    database: DatabaseDep,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Principal | None:
    """The owner of the request's token, if it has one; an invalid token is refused."""
    if given is None:
        return None
    with database.reading() as session:
        found = accounts.authenticate(session, given.credentials)
    if found is None:
        return authenticated(
            request, response, database, given.credentials, Scope.jobs_write
        )  # counts the failure and raises
    return found


Reader = Annotated[Principal | None, Depends(_reader)]
Reporter = Annotated[Principal, Depends(requires(Scope.results_write))]
Submitter = Annotated[Principal, Depends(requires(Scope.jobs_write))]


@contextmanager
def writing(database: Database, principal: Principal) -> Iterator[Session]:
    """A writing transaction on behalf of `principal`; it also records the use of the token."""
    with database.transaction() as session:
        if principal.use_is_due:
            accounts.note_use(session, principal.token_id)
        yield session


def _unauthenticated(detail: str, hint: str) -> Problem:
    return Problem(
        problems.UNAUTHENTICATED,
        f"{detail}; send 'Authorization: Bearer cil_…'",
        headers={"WWW-Authenticate": f'Bearer realm="cil"{hint}'},
    )
