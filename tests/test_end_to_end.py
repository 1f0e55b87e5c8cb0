"""The service as a user meets it: `cil up` as a process, jobs over HTTP, results on a page. And what `kill -9` does to it: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from api.client import Client, ClientError, Job
from api.client.connection import Connection
from cil_core.engine import run
from cil_core.events import RunFinished
from cil_core.spec import RunSpec

TRACK = "digits-b0-inc2-m50-convnet"
SHORT = {"epochs": 6, "batch_size": 32, "lr": 0.05}
RECIPE = {"name": "icarl", "first_task": SHORT, "later_tasks": SHORT}
IMPATIENT = {"CIL_LEASE_SECONDS": "6", "CIL_HEARTBEAT_SECONDS": "0.5", "CIL_POLL_SECONDS": "0.3", "CIL_GRACE_SECONDS": "2"}

pytestmark = [pytest.mark.timeout(280), pytest.mark.xdist_group("end to end")]


class Up:
    """A running `cil up`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")} | IMPATIENT
        environment["XDG_CONFIG_HOME"] = str(data_dir.parent / "config")
        command = [sys.executable, "-m", "api.client", "up", "--port", "0", "--data-dir", str(data_dir), "--slots", "2"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        connection = Connection.read(data_dir / "connection.json")
        assert connection is not None, (data_dir / "logs").exists() and "\n".join(log.read_text()[-2000:] for log in (data_dir / "logs").glob("*.log"))
        self.connection = connection
        self.client = Client(connection.server, connection.token)

    def pid_of(self, service: str) -> int:
        return next(row["pid"] for row in json.loads((self.data_dir / "processes.json").read_text()) if row["name"] == service)

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    stack = Up(tmp_path / "data")
    yield stack
    if stack.process.poll() is None:
        stack.stop()


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def undisturbed_digest(seed: int) -> str:
    """The matrix digest of the same run without any service."""
    last = list(run(RunSpec.model_validate({"method": RECIPE, "track": TRACK, "seed": seed}), data_root=Path("/nonexistent")))[-1]
    assert isinstance(last, RunFinished)
    return last.matrix_digest


def digests(client: Client, job: Job) -> dict[int, str | None]:
    return {one.seed: client.run(one.id).matrix_digest for one in job.runs}


def ended(up: Up, job: Job, seconds: float) -> Job:
    def is_finished() -> bool:
        try:
            return up.client.job(job.id).is_finished
        except ClientError:
            return False  # the API is being killed

    until(is_finished, seconds, f"the end of {job.id}")
    return up.client.job(job.id)


def test_a_job_goes_from_post_to_leaderboard_and_the_stack_carries_on_where_it_was(up: Up) -> None:
    assert up.connection.server in up.greeting
    assert (up.data_dir / "connection.json").stat().st_mode & 0o777 == 0o600
    job = up.client.submit(RECIPE, TRACK, [1, 2, 3], name="end to end")
    kinds = [event.kind for event in up.client.follow(job.id)]
    assert kinds.count("task_evaluated") == 15
    job = up.client.job(job.id)
    assert (job.state, [one.state for one in job.runs]) == ("succeeded", ["succeeded"] * 3)
    assert digests(up.client, job)[1] == undisturbed_digest(1)

    (entry,) = up.client.leaderboard(TRACK).items
    assert (entry.rank, entry.method, len(entry.runs)) == (1, "icarl", 3)
    assert entry.metrics["average_accuracy"].interval is not None
    assert entry.metrics["average_accuracy"].mean == pytest.approx(sum(one.average_accuracy for one in entry.runs) / 3)
    page = httpx.get(f"{up.connection.server}/tracks/{TRACK}")
    assert page.status_code == 200
    assert "iCaRL" in page.text
    assert "<svg" in page.text

    again = up.client.submit(RECIPE, TRACK, [1, 2, 3])
    assert again.reused
    assert again.state == "succeeded"
    processes = psutil.Process(up.process.pid).children(recursive=True)
    assert up.stop() == 0
    until(lambda: not any(map(lives, processes)), 10, "the end of every process of the stack")
    assert not (up.data_dir / "connection.json").exists()

    later = Up(up.data_dir)
    assert later.connection.token == up.connection.token
    assert [one.id for one in later.client.jobs()] == [again.id, job.id]
    assert later.stop() == 0


def test_killing_each_process_of_the_stack_changes_no_result(up: Up) -> None:
    job = up.client.submit(RECIPE, TRACK, [1, 2])
    for service in ("redis", "api", "worker-1"):
        until(lambda: any(one.state == "running" for one in up.client.job(job.id).runs), 60, "a run to be running")
        pid = up.pid_of(service)
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid, service=service: up.pid_of(service) != pid, 30, f"a new {service}")
        until(lambda: httpx.get(f"{up.connection.server}/readyz", timeout=2).is_success if _listens(up) else False, 30, "the API to be ready")
    job = ended(up, job, 120)
    assert [one.state for one in job.runs] == ["succeeded", "succeeded"]
    assert digests(up.client, job) == {seed: undisturbed_digest(seed) for seed in (1, 2)}
    assert max(one.attempt for one in job.runs) > 1


def test_after_the_supervisor_itself_is_killed_a_new_start_finishes_the_job(up: Up) -> None:
    job = up.client.submit(RECIPE, TRACK, [1])
    until(lambda: up.client.job(job.id).runs[0].state == "running", 60, "the run to be running")
    orphans = psutil.Process(up.process.pid).children(recursive=True)
    up.process.kill()
    up.process.wait()
    later = Up(up.data_dir)
    done = ended(later, job, 90)
    assert digests(later.client, done) == {1: undisturbed_digest(1)}
    assert later.stop() == 0
    until(lambda: not any(map(lives, orphans)), 30, "the end of every process of the killed stack")


def test_a_second_stack_on_the_same_directory_is_refused(up: Up) -> None:
    command = [sys.executable, "-m", "api.client", "up", "--port", "0", "--data-dir", str(up.data_dir)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "already running" in second.stderr


def _listens(up: Up) -> bool:
    try:
        httpx.get(f"{up.connection.server}/livez", timeout=2)
    except httpx.TransportError:
        return False
    return True
