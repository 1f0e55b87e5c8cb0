"""Trials of the sandbox as root and as an unprivileged user, in each mode: one process each per session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
AS_USER = Path(__file__).parent / "as_user.py"
USERS = {"root": 0, "user": 1234}
MODES = ("locked", "walled")
SECRET = "a secret of the supervisor"


def run_as(user: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run this interpreter as `root` or as an unprivileged user, from a clean environment."""
    if os.geteuid() != 0 and user == "root":
        pytest.skip("needs root")
    environment = {
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "CIL_TRIAL_SECRET": SECRET,
    }
    command = [sys.executable, *arguments]
    if os.geteuid() == 0:
        command = [sys.executable, str(AS_USER), str(USERS[user]), *command]
    return subprocess.run(
        command,
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        **{"check": True} | options,
    )


@cache
def trial(user: str, mode: str) -> dict[str, object]:
    """The result of every probe; `off` runs them outside a sandbox."""
    return json.loads(run_as(user, "-m", "workers.sandbox.trial", mode).stdout)
