"""The API starts quickly and without PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import resource, sys
import api.main
unneeded = {"torch", "torchvision", "workers", "celery", "scipy.stats", "alembic"}
assert not unneeded & set(sys.modules), "too much is imported"
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
"""


def test_importing_the_api_is_cheap_and_loads_no_pytorch():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 3  # seconds of CPU, on a machine that does other things as well


def test_missing_settings_are_named():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
    done = subprocess.run(
        [sys.executable, "-c", "from api.settings import Settings; Settings()"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode != 0
    assert "database_url" in done.stderr
