"""`python -m workers.cli.health`: the health check of a worker's container.

It exits with code 0 if this host's worker sends heartbeats.

Decisions:
    * The heartbeat in the database is the evidence: a worker that is stuck, or that cannot reach the
      database, is unhealthy.
    * Silence counts from one lease on, after which other workers take its runs.
"""

from __future__ import annotations

import platform
import sys

from store import runs
from store.database.session import Database
from workers.cli.terminal import settings
from workers.parent.event_writer import AWAY
from workers.parent.settings import WorkerSettings


def silence(known: WorkerSettings, host: str) -> float | None:
    """Seconds since the latest heartbeat of a running worker on a host; None if there is none."""
    database = Database(known.database_url.get_secret_value())
    try:
        with database.reading() as session:
            workers = runs.list_workers(session)
    finally:
        database.dispose()
    seconds = [
        one.silent_seconds for one in workers if one.info.get("host") == host and one.stopped_at is None
    ]
    return min(seconds, default=None)


def main() -> int:
    """Print the state of this host's worker; the exit code is 0 if it is healthy, else 1."""
    known, host = settings(), platform.node()
    try:
        seconds = silence(known, host)
    except AWAY as error:
        sys.stderr.write(f"unhealthy: the database is not reachable: {getattr(error, 'orig', error)}\n")
        return 1
    if seconds is None:
        sys.stderr.write(f"unhealthy: no worker runs on {host}\n")
        return 1
    healthy = seconds <= known.lease_seconds
    sys.stdout.write(f"{'healthy' if healthy else 'unhealthy'}: last heartbeat {seconds:.1f} s ago\n")
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
