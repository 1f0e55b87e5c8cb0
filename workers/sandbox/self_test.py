"""Whether this machine has the sandbox, and whether it holds: the result of a trial.

Decisions:
    * The trial starts from a clean environment with one secret of its own.
    * A mode is available if a process can enter it; it is safe if no probe achieves anything.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import workers
from workers.sandbox.policy import Mode
from workers.sandbox.probes import SECRET_VARIABLE

_SECONDS = 120.0
_PASSED = ("PATH", "LD_LIBRARY_PATH", "LANG", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The result of a trial.

    Attributes:
        mode: of the sandbox, or `off`.
        refused: why the sandbox cannot be entered here; None if it can.
        milliseconds: how long entering took.
        probes: how many attempts were made.
        found: what each probe achieved; empty if the sandbox holds.
    """

    mode: str
    refused: str | None
    milliseconds: float
    probes: int
    found: dict[str, list[str]]

    @property
    def fault(self) -> str | None:
        """Why nothing untrusted may run in this mode, in one line; None if it may."""
        if self.refused is not None:
            return f"{self.mode} is not available: {self.refused}"
        if self.found:
            name, evidence = next(iter(self.found.items()))
            more = f" (and {len(self.found) - 1} more)" if len(self.found) > 1 else ""
            return f"{self.mode} does not hold: probe {name}: {evidence[0]}{more}"
        return None


def self_test(mode: Mode, *, names: tuple[str, ...] = ()) -> SelfTest:
    """Run probes in a mode of the sandbox.

    Args:
        mode: of the sandbox.
        names: of the probes; every one by default.
    """
    return _trial(mode, *names)


def available() -> dict[Mode, str | None]:
    """The modes of this machine: None for one that works, otherwise the reason why it does not."""
    return {mode: _trial(mode, "--enter-only").refused for mode in Mode}


def _trial(mode: Mode, *arguments: str) -> SelfTest:
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ} | {
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.fspath(Path(workers.__path__[0]).parent),
        SECRET_VARIABLE: secrets.token_hex(32),
    }
    command = [sys.executable, "-m", "workers.sandbox.trial", mode, *arguments]
    done = subprocess.run(  # noqa: S603 - no user input
        command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
        return SelfTest(mode, f"the trial failed: {last}", 0.0, 0, {})
    return SelfTest(mode, **json.loads(done.stdout))
