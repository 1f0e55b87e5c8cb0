"""`Guard`: what every request and every answer passes, outermost: request id, body limit, security headers, counting and logging, and the end of unexpected errors.

Decisions:
    * Plain ASGI: it never buffers an answer, so event streams flow through it.
    * The content security policy allows this origin's own style sheets and nothing inline. A route may set a policy of its own.
    * An exception that nobody translated is logged here with its traceback and answered as `internal`; once an answer has begun it is raised on.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from api.http import problems
from api.http.metrics import Metrics
from api.http.problems import Problem, not_found

log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'", "form-action 'self'", "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)  # fmt: skip
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
"""Asked every few seconds by machines: not worth a line."""

_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context: version, trace id, parent id, flags."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guard:
    """ASGI middleware; see the module."""

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
        sender = _Sender(send, request_id, scope, trace[0] if trace else None)
        clear_contextvars()
        bind_contextvars(request_id=request_id, **({"trace_id": trace[1]} if trace else {}))
        length = headers.get("content-length", "0")
        try:
            if length.isdecimal() and int(length[:20]) > self.max_body_bytes:
                raise _too_large(self.max_body_bytes)
            if "\0" in scope["path"]:  # no database takes it in a text
                raise not_found("resource at", scope["path"])
            await self.app(scope, _counted(receive, self.max_body_bytes), sender)
            sender.tell()
        except Problem as problem:
            await problem.response(request_id)(scope, receive, sender)
            sender.tell()
        except Exception:
            if sender.started:
                raise
            log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            await Problem(problems.INTERNAL, problems.INTERNAL.help).response(request_id)(
                scope, receive, sender
            )
            sender.tell()


class _Sender:
    """Adds the headers to the answer and remembers that it has begun."""

    def __init__(self, send: Send, request_id: str, scope: Scope, traceparent: str | None) -> None:
        self.send = send
        self.request_id = request_id
        self.traceparent = traceparent
        self.status = 0
        self.scope = scope
        self.started = False
        self.began = time.perf_counter()

    async def __call__(self, message: Message) -> None:
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

    def tell(self) -> None:
        """Log the request, its path without the query: what somebody looks for is theirs."""
        milliseconds = round(1000 * (time.perf_counter() - self.began), 1)
        client = self.scope["client"][0] if self.scope.get("client") else None
        about = {
            "method": self.scope["method"],
            "path": self.scope["path"][:200],
            "status": self.status,
            "milliseconds": milliseconds,
            "client": client,
        }
        log.log(logging.DEBUG if self.scope["path"] in _PROBES else logging.INFO, "answered", extra=about)

    def _count(self, status: int) -> None:
        """By the pattern of the route, so that no client can invent labels."""
        metrics: Metrics = self.scope["app"].state.metrics
        route = getattr(self.scope.get("route"), "path", "unmatched")
        if route != "unmatched" and self.scope["path"].startswith(f"{API}/"):
            route = API + route.removeprefix(API)  # a route knows its path within its router only
        method = self.scope["method"] if self.scope["method"] in _METHODS else "other"
        metrics.requests.labels(method, route, str(status)).inc()
        metrics.latency.labels(route).observe(time.perf_counter() - self.began)


def _counted(receive: Receive, limit: int) -> Receive:
    """`receive` that refuses a body which grows beyond `limit`, whatever its length was said to be."""
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
