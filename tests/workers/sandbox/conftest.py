"""Places to run code in a sandbox: root and an unprivileged user, each mode that this machine has."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.workers.sandbox.trials import MODES, USERS, run_as, trial


def available_mode(user: str, mode: str) -> str:
    """The mode; skips the test where the user cannot enter it."""
    if reason := trial(user, mode)["refused"]:
        pytest.skip(str(reason))
    return mode


@pytest.fixture(params=[f"{mode}-{user}" for mode in MODES for user in USERS])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """User and mode of a sandbox that this machine has."""
    mode, user = request.param.split("-")
    return user, available_mode(user, mode)


@pytest.fixture(params=MODES)
def inside(request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python code in a forked process after it entered; the result is that of its parent."""
    mode = available_mode("user", request.param)

    def run(
        code: str, before: str = "", policy: str = "policy", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        program = f"""
import os, sys
from workers.sandbox import Mode, default_policy, enter, with_cuda
{before}
policy = default_policy(Mode("{mode}"))
child = os.fork()
if child == 0:
    try:
        enter({policy})
{"".join(f"        {line}{chr(10)}" for line in code.strip().splitlines())}
    except BaseException as error:
        print(type(error).__name__, error, file=sys.stderr)
        sys.stderr.flush()
        os._exit(9)
    sys.stdout.flush()
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print("status", status)
"""
        return run_as("user", "-c", program, check=check)

    return run
