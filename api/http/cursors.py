"""`Cursors`: signs the store's page cursors and checks the signature, so that clients cannot forge them."""

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
        """The cursor with its signature; None on the last page."""
        return None if cursor is None else self._signature(cursor) + cursor

    def check(self, given: str | None) -> str | None:
        """The cursor without its signature; None for the first page.

        Raises:
            Problem: invalid-cursor, if this service did not sign it.
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
    """Set the header `Link` to the next page (RFC 8288), if one exists."""
    if cursor:
        response.headers["Link"] = f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'


def invalid_cursor(detail: str) -> Problem:
    """The problem for a forged cursor, or one of another list."""
    return Problem(problems.INVALID_CURSOR, detail, [Fault(parameter="cursor", detail=detail)])
