"""`Middleware`: the outermost layer of every request and response.

It sets the request id and the security headers, limits the body, counts and logs, answers HEAD, and
translates unexpected exceptions. Decisions:
    * Plain ASGI: it never buffers a response, so event streams flow through it.
    * The content security policy allows this origin's own files and nothing inline. A route may set another
      policy.
    * An exception without a translation is logged with its traceback and answered as `internal`. Once a
      response has started, the exception is raised again.
    * HEAD is GET without the body: the application handles GET and is cancelled when it has sent the headers.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from anyio import CancelScope
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from api.http import problems
from api.http.links import path_of, root_of
from api.http.metrics import Metrics
from api.http.problems import Problem, not_found

log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
API = "/api/v1"
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Queried every few seconds by machines: logged as debug messages."""

_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context: version, trace id, parent id, flags."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Middleware:
    """ASGI middleware; see the module.

    Args:
        app: the application inside.
        max_body_bytes: longer request bodies are refused.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        trace = _TRACE.fullmatch(headers.get("traceparent", ""))
        clear_contextvars()
        bind_contextvars(request_id=request_id, **({"trace_id": trace[1]} if trace else {}))
        sender = _Sender(send, request_id, scope, trace[0] if trace else None)
        await self._serve(scope, receive, sender)
        sender.log()

    async def _serve(self, scope: Scope, receive: Receive, sender: _Sender) -> None:
        try:
            self._check(scope)
            with sender.until_sent:
                await self.app(sender.scope, _counted(receive, self.max_body_bytes), sender)
        except Problem as problem:
            failure = problem
        except Exception:
            if sender.started:
                raise
            log.exception("request %s: %s %s failed", sender.request_id, scope["method"], scope["path"])
            failure = Problem(problems.INTERNAL, problems.INTERNAL.help)
        else:
            return
        await failure.response(sender.request_id, root_of(scope))(scope, receive, sender)

    def _check(self, scope: Scope) -> None:
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self.max_body_bytes:
            raise _too_large(self.max_body_bytes)
        if "\0" in scope["path"]:  # no database stores it in a text
            raise not_found("resource at", scope["path"])


class _Sender:
    """Adds headers to the response and records that it has started.

    Attributes:
        scope: the application's: with GET instead of HEAD.
        until_sent: cancels the application when the response to HEAD is complete.
        started: whether the headers have been sent.
    """

    def __init__(self, send: Send, request_id: str, scope: Scope, traceparent: str | None) -> None:
        self.send = send
        self.request_id = request_id
        self.traceparent = traceparent
        self.status = 0
        self.method = scope["method"]
        self.is_head = self.method == "HEAD"
        self.scope = {**scope, "method": "GET"} if self.is_head else scope
        self.until_sent = CancelScope()
        self.started = False
        self.began = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        if self.is_head and self.started:
            return
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            self._count(self.status)
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            if self.traceparent:
                headers["traceparent"] = self.traceparent
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self.send(message)
        if self.is_head:
            await self.send({"type": "http.response.body", "body": b""})
            self.until_sent.cancel()

    def log(self) -> None:
        """Log the request, its path without the query: a reader's queries are private."""
        path = path_of(self.scope)
        about = {
            "method": self.method,
            "path": path[:200],
            "status": self.status,
            "milliseconds": round(1000 * (time.perf_counter() - self.began), 1),
            "client": self.scope["client"][0] if self.scope.get("client") else None,
        }
        log.log(logging.DEBUG if path in _PROBES else logging.INFO, "answered", extra=about)

    def _count(self, status: int) -> None:
        """By the route's pattern, so that no client can invent labels."""
        metrics: Metrics = self.scope["app"].state.metrics
        route = getattr(self.scope.get("route"), "path", "unmatched")
        if route != "unmatched" and path_of(self.scope).startswith(f"{API}/"):
            route = API + route.removeprefix(API)  # a route knows its path within its router only
        method = self.method if self.method in _METHODS else "other"
        metrics.requests.labels(method, route, str(status)).inc()
        metrics.latency.labels(route).observe(time.perf_counter() - self.began)


def _counted(receive: Receive, limit: int) -> Receive:
    """`receive` that refuses a body longer than `limit`, including bodies without a Content-Length."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return counted


def _too_large(limit: int) -> Problem:
    return Problem(
        problems.TOO_LARGE, f"the body may have {limit} bytes at most", headers={"Connection": "close"}
    )


def _request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
