"""Conditional requests: whoever has an answer already is told that it still holds (RFC 9110, section 13).

Decisions:
    * A finished run never changes: its tag is strong. A leaderboard changes when a run finishes on its track: its tag is weak and counts them.
    * Tags name the version of the software, since another one may write the same results differently.
"""

from __future__ import annotations

from fastapi import Request, Response

from cil_core import ENGINE_VERSION, __version__


def strong(*parts: object) -> str:
    """The tag of an answer that never changes."""
    return f'"{"-".join(map(str, (__version__, ENGINE_VERSION, *parts)))}"'


def weak(*parts: object) -> str:
    """The tag of an answer that says the same as long as `parts` do."""
    return f"W/{strong(*parts)}"


def holds(request: Request, tag: str) -> bool:
    """Whether the caller has what `tag` names: `If-None-Match` lists it, or anything."""
    given = [
        one.strip().removeprefix("W/")
        for line in request.headers.getlist("if-none-match")
        for one in line.split(",")
    ]
    return "*" in given or tag.removeprefix("W/") in given


def unchanged(tag: str) -> Response:
    """The answer without a body."""
    return Response(status_code=304, headers={"ETag": tag})
