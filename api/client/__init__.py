"""The Python client: `from api.client import Client`. It needs only httpx and pydantic.

A name is imported at its first use, so that `cil --help`, which needs none of them, answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.client.errors import (
        ApiError,
        ClientError,
        ConfigurationError,
        NoServerError,
        UnexpectedAnswerError,
        UnreachableError,
    )
    from api.client.models import Event, Job, Leaderboard, Method, Run
    from api.client.sdk import Client

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "ConfigurationError",
    "Event",
    "Job",
    "Leaderboard",
    "Method",
    "NoServerError",
    "Run",
    "UnexpectedAnswerError",
    "UnreachableError",
]

_MODULES = {"Client": "sdk", **dict.fromkeys(("Event", "Job", "Leaderboard", "Method", "Run"), "models")}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
