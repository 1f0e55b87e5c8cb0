"""Everything the client raises on purpose.

ClientError
├── ApiError            the server refused the request; carries its problem document
├── UnreachableError    the server cannot be reached, or the connection broke and could not be resumed
└── NoServerError       no server is known
"""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Base of the tree."""

    exit_code = 4
    """Of `cil`, when it ends with this error."""


class ApiError(ClientError):
    """The server refused a request.

    Attributes:
        status: the HTTP status.
        problem: the problem document (RFC 9457): title, detail, and `errors` field by field.
    """

    exit_code = 3

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        faults = "".join(
            f"\n  {_place(fault)}: {fault.get('detail')}" for fault in problem.get("errors") or ()
        )
        super().__init__(f"{problem.get('title', 'error')} ({status}): {faults or problem.get('detail', '')}")

    @property
    def kind(self) -> str:
        """The stable name of the problem, e.g. `invalid-body`; empty if the answer was not a problem document."""
        return str(self.problem.get("type", "")).rpartition("/")[2]


class UnreachableError(ClientError):
    """The server does not answer."""


class NoServerError(ClientError):
    """No server is known; the message says where one was looked for."""


def _place(fault: dict[str, Any]) -> str:
    return str(fault.get("pointer") or fault.get("parameter") or fault.get("header") or "/")
