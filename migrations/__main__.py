"""`python -m migrations upgrade` upgrades the database at CIL_DATABASE_URL; `current` prints its revision."""

from __future__ import annotations

import os
import sys

import migrations

USAGE = "usage: CIL_DATABASE_URL=… python -m migrations upgrade | current"


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    url = os.environ.get("CIL_DATABASE_URL")
    if url is None or arguments not in (["upgrade"], ["current"]):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    if arguments == ["upgrade"]:
        migrations.upgrade(url)
    sys.stdout.write(f"{migrations.current(url) or 'empty'}\n")
    return 0


sys.exit(main(sys.argv[1:]))
