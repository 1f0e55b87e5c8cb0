"""The Python client: `from api.client import Client`. Needs httpx and pydantic only.

A name is imported when it is first used, so that `cil --help`, which needs none of them, answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.client.errors import ApiError, ClientError, NoServerError, UnreachableError
    from api.client.models import Event, Job, Leaderboard, Method, Run
    from api.client.sdk import Client

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "Event",
    "Job",
    "Leaderboard",
    "Method",
    "NoServerError",
    "Run",
    "UnreachableError",
]

_MODULES = {"Client": "sdk", **dict.fromkeys(("Event", "Job", "Leaderboard", "Method", "Run"), "answers")}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
