"""A job as lines for a shell: with curl, and with `cil`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from cil_core.spec.recipes.base import flat


def as_curl(body: Mapping[str, Any], server: str) -> str:
    """The job as a request.

    Args:
        body: as the API takes it.
        server: the service's address, ending in a slash.
    """
    headers = '-H "Authorization: Bearer $CIL_TOKEN" -H "Content-Type: application/json"'
    return f"curl -X POST {server}api/v1/jobs \\\n  {headers} \\\n  -d {shlex.quote(json.dumps(body))}"


def as_command(body: Mapping[str, Any]) -> str:
    """The job as a `cil` command."""
    method = body["method"]
    parts = [
        "cil",
        "submit",
        "--method",
        method["name"],
        "--track",
        body["track"],
        "--seeds",
        ",".join(map(str, body["seeds"])),
    ]
    parts += ["--preset", method["preset"]] if "preset" in method else []
    parts += ["--name", body["name"]] if "name" in body else []
    for name, value in flat(method).items():
        if name not in {"name", "preset"}:
            parts += ["--set", f"{name}={json.dumps(value)}"]
    return shlex.join(parts)
