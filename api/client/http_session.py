"""`HttpSession`: HTTP requests to one service over an unreliable network.

Decisions:
    * A request is repeated only where that is safe: reads, and writes that carry an Idempotency-Key.
    * Repeated are broken connections and the answers that call for it: 429, 502, 503, 504, and 409 while the
      first try is still being answered. The pause is the one that the server names, or a growing one.
      A server that names a pause longer than `LONGEST_PAUSE_SECONDS` is reported instead.
    * No message contains the token, even if a server or a proxy sends it back.
"""

from __future__ import annotations

import ipaddress
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from api.client.connection import checked_server, checked_token
from api.client.environment import check_environment, proxy_variable
from api.client.errors import ApiError, ConfigurationError, UnexpectedAnswerError, UnreachableError
from api.client.streams import json_lines, server_sent_events
from api.shared.printable import printable

TRIES = 6
LONGEST_PAUSE_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""A stream that sends nothing for this long, not even a ping, is broken."""

_REPEATED = frozenset({429, 502, 503, 504})


class StreamBroken(Exception):
    """An event stream ended before its job did."""


class HttpSession:
    """Requests to one service.

    Args:
        server: its address.
        token: for writing.
        timeout: seconds a request may take.

    Raises:
        ConfigurationError: the address, the token or a variable of the environment is unusable.
    """

    def __init__(self, server: str, token: str | None, timeout: float) -> None:
        self.server = checked_server(server, "server")
        self._token = checked_token(token or "", "token")
        uses_environment = not _is_loopback(self.server)  # no proxy is between us and this machine
        if uses_environment:
            check_environment()
        self._proxy_variable = proxy_variable(self.server) if uses_environment else None
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            self._http = httpx.Client(
                base_url=f"{self.server}/api/v1", headers=headers, timeout=timeout, trust_env=uses_environment
            )
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"server: not the address of a server: {error}") from None

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
            except httpx.HTTPError as error:
                if attempt == tries:
                    raise self._unreachable(error) from None
                time.sleep(_growing_pause(attempt))
                continue
            if response.is_success:
                return response
            refusal = self._refusal(response)
            pause = _named_pause(response, default=_growing_pause(attempt))
            if attempt == tries or not _is_temporary(refusal) or pause > LONGEST_PAUSE_SECONDS:
                raise refusal
            time.sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    def json(self, verb: str, path: str, **options: Any) -> dict[str, Any]:
        """The object that a request returns.

        Raises:
            ApiError: the server refused it.
            UnexpectedAnswerError: the answer is no JSON object.
            UnreachableError: the server does not answer.
        """
        response = self.request(verb, path, **options)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnexpectedAnswerError(
                f"{self.server}{urlsplit(str(response.url)).path.removeprefix(urlsplit(self.server).path)} "
                "returned no JSON object; is this the address of a CIL leaderboard?"
            )
        return answer

    @contextmanager
    def events(self, path: str, after: int) -> Iterator[Iterator[dict[str, Any]]]:
        """One connection to an event stream: the events after the one with the sequence `after`.

        Raises:
            ApiError: the server refused it.
            StreamBroken: it cannot be reached, or the connection broke.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
        try:
            with self._streamed(path, headers) as response:
                yield _events(response.iter_bytes())
        except httpx.HTTPError as error:
            raise StreamBroken(self._reason(error)) from None

    @contextmanager
    def lines(self, path: str) -> Iterator[Iterator[str]]:
        """An answer of JSON lines, as they arrive.

        Raises:
            ApiError: the server refused it.
            UnreachableError: it cannot be reached, or the connection broke.
        """
        try:
            with self._streamed(path, {}) as response:
                yield json_lines(response.iter_bytes())
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    @contextmanager
    def _streamed(self, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        timeout = httpx.Timeout(30, read=SILENCE_SECONDS)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            yield response

    def _refusal(self, response: httpx.Response) -> ApiError:
        text = self._without_token(response.text)
        try:
            problem = json.loads(text)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):  # not from the service, but from something in front of it
            problem = {"title": response.reason_phrase or "error", "detail": " ".join(text[:500].split())}
        if response.is_redirect:
            target = self._without_token(response.headers.get("Location", ""))
            problem["detail"] = f"it redirects to {target}; use that server's address"
        return ApiError(response.status_code, problem)

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        through = f" through the proxy of {self._proxy_variable}" if self._proxy_variable else ""
        return UnreachableError(f"{self.server} does not answer{through}: {self._reason(error)}")

    def _reason(self, error: httpx.HTTPError) -> str:
        return printable(self._without_token(str(error))) or type(error).__name__

    def _without_token(self, text: str) -> str:
        return text.replace(self._token, "[token]") if self._token else text


def segment(identifier: str) -> str:
    """An identifier as one segment of a path, even if it contains a slash."""
    quoted = quote(identifier, safe="", errors="replace")
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def _events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for kind, data in server_sent_events(chunks):
        if kind == "end":
            return
        yield json.loads(data)
    raise StreamBroken("the server closed the stream before its end")


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_temporary(refusal: ApiError) -> bool:
    return refusal.status in _REPEATED or refusal.kind == "request-in-flight"


def _named_pause(response: httpx.Response, default: float) -> float:
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else default


def _growing_pause(attempt: int) -> float:
    """Growing, and slightly different for each client, so that many do not return at once."""
    return float(min(0.1 * 2**attempt, 3.0)) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
