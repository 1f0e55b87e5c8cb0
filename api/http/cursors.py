"""`Cursors`: the store's page cursors, signed on their way out and checked on their way in, so that nobody can make one up."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request, Response

from api.http import problems
from api.http.problems import Fault, Problem

_SIGNATURE_CHARACTERS = 32


class Cursors:
    """Signs and checks the cursors of one service.

    Args:
        secret: the service's secret key.
    """

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"cursor:" + secret.encode()).digest()

    def sign(self, cursor: str | None) -> str | None:
        """A cursor as the client gets it; None on the last page."""
        return None if cursor is None else self._signature(cursor) + cursor

    def check(self, given: str | None) -> str | None:
        """The cursor that was signed; None for the first page.

        Raises:
            Problem: it was not signed here.
        """
        if given is None:
            return None
        signature, cursor = given[:_SIGNATURE_CHARACTERS], given[_SIGNATURE_CHARACTERS:]
        if not hmac.compare_digest(signature.encode(), self._signature(cursor).encode()):
            raise invalid_cursor(problems.INVALID_CURSOR.help)
        return cursor

    def _signature(self, cursor: str) -> str:
        return hmac.new(self._key, cursor.encode(), "sha256").hexdigest()[:_SIGNATURE_CHARACTERS]


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Tell where the next page is (RFC 8288), if there is one."""
    if cursor:
        response.headers["Link"] = f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'


def invalid_cursor(detail: str) -> Problem:
    """The problem for a cursor that is not ours or belongs to another list."""
    return Problem(problems.INVALID_CURSOR, detail, [Fault(parameter="cursor", detail=detail)])
