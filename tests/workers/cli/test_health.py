"""The health check of a worker's container, as Docker calls it."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import update

from store import runs
from store.database.clock import now
from store.database.models import Worker
from store.runs import WorkerOffer

COMMAND = [sys.executable, "-m", "workers.cli.health"]


def check(workshop, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = workshop.environment(**settings)
    return subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=280)


@pytest.fixture
def registered(workshop):
    """A worker of this host that has just sent a heartbeat."""
    with workshop.database.transaction() as session:
        runs.register_worker(session, WorkerOffer("one", "cil", "cpu"), {"host": platform.node()})
    return workshop


def test_a_worker_with_a_recent_heartbeat_is_healthy(registered) -> None:
    done = check(registered, lease_seconds=600)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("healthy: last heartbeat ")


def test_a_silent_worker_is_unhealthy(registered) -> None:
    with registered.database.transaction() as session:
        session.execute(update(Worker).values(seen_at=now(timedelta(seconds=-61))))
    done = check(registered, lease_seconds=60)
    assert (done.returncode, done.stdout.partition(":")[0]) == (1, "unhealthy")


def test_a_stopped_worker_is_unhealthy(registered) -> None:
    with registered.database.transaction() as session:
        runs.worker_stopped(session, "one")
    done = check(registered)
    assert (done.returncode, done.stderr) == (1, f"unhealthy: no worker runs on {platform.node()}\n")


def test_a_worker_of_another_host_does_not_count(registered) -> None:
    with registered.database.transaction() as session:
        session.execute(update(Worker).values(info={"host": "elsewhere"}))
    assert check(registered).returncode == 1


def test_a_missing_database_is_unhealthy_without_a_traceback(workshop) -> None:
    done = check(workshop, database_url="postgresql+psycopg://cil:secret@127.0.0.1:1/cil")
    assert done.returncode == 1
    assert done.stderr.startswith("unhealthy: the database is not reachable")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
