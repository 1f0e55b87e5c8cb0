"""Addresses below the path at which a proxy serves this site: ASGI's `root_path`, e.g. `/cil`.

Decision: the proxy removes the prefix from requests, and the server is started with `--root-path /cil`. Every
address in a response begins with the prefix; routes, metrics and logs never see it.
"""

from __future__ import annotations

from fastapi import Request, Response
from starlette.types import Scope


def root_of(scope: Scope) -> str:
    """The prefix without its last slash; empty for a site at the top."""
    root: str = scope.get("app_root_path", scope.get("root_path", ""))  # a mount extends `root_path`
    return root.rstrip("/")


def path_of(scope: Scope) -> str:
    """The requested path within this site."""
    path: str = scope["path"]
    return path.removeprefix(root_of(scope)) or "/"


def url(request: Request, path: str) -> str:
    """The address of a path of this site."""
    return root_of(request.scope) + path


def locate(request: Request, response: Response, path: str) -> None:
    """Set the header `Location` to a path of this site."""
    response.headers["Location"] = url(request, path)
