"""`Transport`: HTTP with the patience an unreliable network needs.

Decisions:
    * A request is repeated only where that is safe: reads, and writes that carry an Idempotency-Key.
    * Repeated are broken connections and the answers that ask for it (429, 502, 503, 504, and 409 while the first try is still being answered), after
      the pause the server names or a growing one. A server that asks for a longer pause than `LONGEST_PAUSE` is reported instead.
    * Server-sent events are read by their own rules: lines end with a line feed, comments and unknown fields are skipped.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from api.client.errors import ApiError, UnreachableError

TRIES = 6
LONGEST_PAUSE_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""An event stream that says nothing for so long, not even a ping, is broken."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""No proxy of the environment stands between us and a service on this machine."""

_REPEATED = frozenset({429, 502, 503, 504})


class StreamBroken(Exception):
    """An event stream ended before its job did."""


class Transport:
    """Requests to one service.

    Args:
        server: its address.
        token: for writing.
        timeout: seconds a request may take.
    """

    def __init__(self, server: str, token: str | None, timeout: float) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.server = server
        beside_us = urlsplit(server).hostname in _LOOPBACK
        self._http = httpx.Client(
            base_url=f"{server}/api/v1", headers=headers, timeout=timeout, trust_env=not beside_us
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """One request, repeated where that is safe.

        Raises:
            ApiError: the server refused it.
            UnreachableError: the server does not answer.
        """
        tries = TRIES if verb == "GET" or "Idempotency-Key" in options.get("headers", {}) else 1
        for attempt in range(1, tries + 1):
            try:
                response = self._http.request(verb, path, **options)
            except httpx.TransportError as error:
                if attempt == tries:
                    raise UnreachableError(
                        f"{self.server} does not answer: {error or type(error).__name__}"
                    ) from error
                time.sleep(_pause(attempt))
                continue
            except httpx.InvalidURL as error:
                raise UnreachableError(f"{self.server!r} is not an address: {error}") from error
            if response.is_success:
                return response
            refusal = _refusal(response)
            pause = _asked_pause(response, _pause(attempt))
            if attempt == tries or not _may_pass(refusal) or pause > LONGEST_PAUSE_SECONDS:
                raise refusal
            time.sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    @contextmanager
    def stream(self, path: str, after: int) -> Iterator[Iterator[dict[str, Any]]]:
        """One connection to a stream of events: those after the one with the sequence `after`, until there will be no more.

        Raises:
            ApiError: the server refused it.
            StreamBroken: it cannot be reached, or the connection broke.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
        try:
            with self._http.stream(
                "GET", path, headers=headers, timeout=httpx.Timeout(30, read=SILENCE_SECONDS)
            ) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                yield _events(response.iter_bytes())
        except httpx.TransportError as error:
            raise StreamBroken(str(error) or type(error).__name__) from error

    @contextmanager
    def lines(self, path: str) -> Iterator[Iterator[str]]:
        """An answer of many lines, as they come.

        Raises:
            ApiError: the server refused it.
            UnreachableError: it cannot be reached, or the connection broke.
        """
        try:
            with self._http.stream("GET", path, timeout=httpx.Timeout(30, read=SILENCE_SECONDS)) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                yield response.iter_lines()
        except httpx.TransportError as error:
            raise UnreachableError(
                f"{self.server} does not answer: {error or type(error).__name__}"
            ) from error


def _events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for kind, data in _messages(chunks):
        if kind == "end":
            return
        yield json.loads(data)
    raise StreamBroken("the server closed the stream before its end")


def _messages(chunks: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """Kind and data of each complete server-sent event."""
    kind, data = "message", list[bytes]()
    for line in _lines(chunks):
        field, _, value = line.partition(b":")
        if not line:
            if data:
                yield kind, b"\n".join(data).decode()
            kind, data = "message", []
        elif field == b"event":
            kind = value.removeprefix(b" ").decode()
        elif field == b"data":
            data.append(value.removeprefix(b" "))


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in lines)


def _refusal(response: httpx.Response) -> ApiError:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):  # not our server, but something in front of it
        problem = {"title": response.reason_phrase or "error", "detail": response.text[:500]}
    return ApiError(response.status_code, problem)


def _may_pass(refusal: ApiError) -> bool:
    return refusal.status in _REPEATED or refusal.kind == "request-in-flight"


def _asked_pause(response: httpx.Response, otherwise: float) -> float:
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else otherwise


def _pause(attempt: int) -> float:
    """Growing, and a little different for each client, so that many do not come back at once."""
    return float(min(0.1 * 2**attempt, 3.0)) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
