"""What routes are handed: the database, the settings, who is asking, and query parameters with a fixed set of values.

Decisions:
    * A route opens its transaction itself and commits it before it answers: one request is one transaction.
    * What is handed over without waiting is a coroutine: FastAPI runs every other dependency in a thread of its own, which takes longer than what it does.
    * Reads are public and not limited. Writing needs a bearer token with the right scope, checked before the body is looked at.
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
from api.http.rates import Rates, Standing
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
    """A dependency: whoever asks, if their token has `scope` and is not used too often.

    Args:
        scope: what the token must allow.
        to_read: the request writes nothing, so it is not counted.

    Raises:
        Problem: unauthenticated without a valid token, forbidden without the scope, too-many-requests beyond the rates of the settings.
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
    """Whoever shows `token`, if it has `scope` and is not used too often; `response` is told how much of its rate is left.

    Raises:
        Problem: as `requires`.
    """
    rates, address = rates_of(request), request.client.host if request.client else "unknown"
    settings: Settings = request.app.state.settings
    if token is None:
        raise _unauthenticated("no token was given", "")
    with database.reading() as session:
        found = accounts.authenticate(session, token)
    if found is None:
        # Only whoever shows an invalid one is refused: others may write from behind the same address.
        within(rates.hit("invalid tokens", address, settings.failures_per_minute), "invalid tokens")
        raise _unauthenticated(
            "the token is not valid: unknown, expired or revoked", ', error="invalid_token"'
        )
    if not to_read:
        standing = within(
            rates.hit("writes", found.token_id, settings.writes_per_minute), "requests with this token"
        )
        response.headers.update(standing.headers)
    if not found.may(scope):
        raise Problem(
            problems.FORBIDDEN,
            f"this needs a token with the scope {scope.value!r}; yours has: {', '.join(sorted(found.scopes)) or 'none'}",
        )
    return found


def rates_of(request: Request) -> Rates:
    """The counters of this process."""
    return request.app.state.rates  # type: ignore[no-any-return]


def within(standing: Standing, what: str) -> Standing:
    """The standing of a request that is within its limit.

    Raises:
        Problem: too-many-requests, if it is not; `what` says of what.
    """
    if not standing.allowed:
        raise Problem(
            problems.TOO_MANY_REQUESTS,
            f"{standing.limit} {what} are allowed in a minute",
            headers=standing.headers,
        )
    return standing


def _reader(
    request: Request,
    response: Response,
    database: DatabaseDep,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Principal | None:
    """Whoever reads, if they show a token; it must then be valid."""
    if given is None:
        return None
    with database.reading() as session:
        found = accounts.authenticate(session, given.credentials)
    if found is None:
        return authenticated(
            request, response, database, given.credentials, Scope.jobs_write
        )  # which counts the failure and refuses it
    return found


Reader = Annotated[Principal | None, Depends(_reader)]
Reporter = Annotated[Principal, Depends(requires(Scope.results_write))]
Submitter = Annotated[Principal, Depends(requires(Scope.jobs_write))]


@contextmanager
def writing(database: Database, principal: Principal) -> Iterator[Session]:
    """A writing transaction on behalf of `principal`, whose token is noted as used."""
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
