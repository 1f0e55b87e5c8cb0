"""A job as lines for a shell: with curl, and with `cil`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any


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
    parts = ["cil", "submit", "--method", method["name"], "--track", body["track"], "--seeds", ",".join(map(str, body["seeds"]))]
    parts += ["--preset", method["preset"]] if "preset" in method else []
    parts += ["--name", body["name"]] if "name" in body else []
    for name, value in method.items():
        if name not in {"name", "preset"}:
            given = {f"{name}.{field}": one for field, one in value.items()} if isinstance(value, dict) else {name: value}
            parts += [part for path, one in given.items() for part in ("--set", f"{path}={json.dumps(one)}")]
    return shlex.join(parts)
