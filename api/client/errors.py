"""The errors that the client raises.

ClientError
├── ApiError                the server refused the request; carries its problem document
├── UnexpectedAnswerError   the answer is not one of a CIL leaderboard
├── UnreachableError        the server cannot be reached, or the connection broke and could not be resumed
├── NoServerError           no server is configured
└── ConfigurationError      an address, a token, a stored connection or a variable of the environment is
unusable
"""

from __future__ import annotations

from typing import Any

from api.shared.printable import printable


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
        errors = problem.get("errors")
        faults = [fault for fault in errors if isinstance(fault, dict)] if isinstance(errors, list) else []
        lines = [f"\n  {_place(fault)}: {_text(fault.get('detail'))}" for fault in faults]
        title = _text(problem.get("title")) or "error"
        super().__init__(f"{title} ({status}): {''.join(lines) or _text(problem.get('detail'))}")

    @property
    def kind(self) -> str:
        """The stable name of the problem, e.g. `invalid-body`; empty without a problem document."""
        return str(self.problem.get("type", "")).rpartition("/")[2]


class UnexpectedAnswerError(ClientError):
    """The answer is not one of a CIL leaderboard: another server, or one of an incompatible version."""


class UnreachableError(ClientError):
    """The server does not answer."""


class NoServerError(ClientError):
    """No server is configured; the message lists the places that were searched."""


class ConfigurationError(ClientError):
    """An address, a token, a stored connection or a variable of the environment is unusable."""

    exit_code = 2


def _place(fault: dict[str, Any]) -> str:
    return _text(fault.get("pointer") or fault.get("parameter") or fault.get("header") or "/")


def _text(value: Any) -> str:
    return "" if value is None else printable(str(value))
