"""Conditional requests (RFC 9110, section 13): a client with a current copy receives 304.

Decisions:
    * A finished run never changes, so its tag is strong. A leaderboard changes when a run finishes on its
      track, so its tag is weak and contains the track's revision.
    * Tags contain the software's version, because another version may format the same results differently.
"""

from __future__ import annotations

from fastapi import Request, Response

from cil_core import ENGINE_VERSION, __version__


def strong(*parts: object) -> str:
    """The tag of a response that never changes."""
    return f'"{"-".join(map(str, (__version__, ENGINE_VERSION, *parts)))}"'


def weak(*parts: object) -> str:
    """The tag of a response that is equivalent while `parts` are equal."""
    return f"W/{strong(*parts)}"


def holds(request: Request, tag: str) -> bool:
    """Whether `If-None-Match` lists `tag` or is `*`."""
    given = [
        one.strip().removeprefix("W/")
        for line in request.headers.getlist("if-none-match")
        for one in line.split(",")
    ]
    return "*" in given or tag.removeprefix("W/") in given


def unchanged(tag: str) -> Response:
    """The response 304."""
    return Response(status_code=304, headers={"ETag": tag})
