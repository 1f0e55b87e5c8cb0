"""The service as a user meets it: `cil up` as a process, jobs over HTTP, results on a page; and `kill -9`."""

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
import torch

from api.client import Client, ClientError, Job
from api.client.connection import Connection
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.events import RunFinished
from cil_core.spec.jobs import RunSpec

TRACK = "digits-b0-inc2-m50-convnet"
SHORT = {"epochs": 4, "batch_size": 32, "lr": 0.05, "milestones": []}
RECIPE = {"name": "icarl", "first_task": SHORT, "later_tasks": SHORT}
IMPATIENT = {
    "CIL_LEASE_SECONDS": "6",
    "CIL_HEARTBEAT_SECONDS": "0.5",
    "CIL_POLL_SECONDS": "0.3",
    "CIL_GRACE_SECONDS": "2",
}
IMPATIENT |= {"CIL_MAX_ATTEMPTS": "10", "CIL_BACK_OFF_SECONDS": "0.1"}
IMPATIENT |= {"CIL_THREADS": "1"}  # results are bit-equal only for the same number of threads

pytestmark = [pytest.mark.timeout(280), pytest.mark.xdist_group("end to end")]


class Up:
    """A running `cil up`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.PIPE, text=True, env=self.environment()
        )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        connection = Connection.read(data_dir / "connection.json")
        assert connection is not None, "\n".join(
            log.read_text()[-2000:] for log in data_dir.glob("logs/*.log")
        )
        self.connection = connection
        self.client = Client(connection.server, connection.token)

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "api.client",
            "up",
            "--port",
            "0",
            "--data-dir",
            str(self.data_dir),
            "--slots",
            "2",
        ]

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
        return inherited | IMPATIENT | {"XDG_CONFIG_HOME": str(self.data_dir.parent / "config")}

    def pid_of(self, service: str) -> int:
        return next(
            row["pid"]
            for row in json.loads((self.data_dir / "processes.json").read_text())
            if row["name"] == service
        )

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.connection.server}/readyz", timeout=2).is_success
        except httpx.TransportError:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.client.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    """Starts the stack, always on the same directory."""
    started: list[Up] = []

    def begin() -> Up:
        started.append(Up(tmp_path / "data"))
        return started[-1]

    yield begin
    for stack in started:
        if stack.process.returncode is None:
            stack.stop()


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def undisturbed_digest(seed: int) -> str:
    """The matrix digest of the same run, by the engine alone."""
    torch.set_num_threads(1)
    last = list(
        run(
            RunSpec.model_validate({"method": RECIPE, "track": TRACK, "seed": seed}),
            Machine(data_root=Path("/nonexistent")),
        )
    )[-1]
    assert isinstance(last, RunFinished)
    return last.matrix_digest


def digests(client: Client, job: Job) -> dict[int, str | None]:
    return {one.seed: client.run(one.id).matrix_digest for one in job.runs}


def is_running(up: Up, job: Job) -> bool:
    """Whether a run of the job is being executed, with a task behind it."""
    try:
        runs = up.client.job(job.id).runs
    except ClientError:
        return False  # the API is being restarted
    return any(one.state == "running" and up.client.run(one.id).classifiers for one in runs)


def test_a_job_reaches_the_leaderboard_and_survives_a_restart(
    start: Callable[[], Up],
) -> None:
    up = start()
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
    assert entry.metrics["average_accuracy"].mean == pytest.approx(
        sum(one.average_accuracy for one in entry.runs) / 3
    )
    page = httpx.get(f"{up.connection.server}/tracks/{TRACK}")
    assert page.status_code == 200
    assert "iCaRL" in page.text
    assert "<svg" in page.text

    again = up.client.submit(RECIPE, TRACK, [1, 2, 3])
    assert (again.reused, again.state) == (True, "succeeded")
    second = subprocess.run(up.command(), env=up.environment(), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "already running" in second.stderr

    processes = up.family()
    assert up.stop(signal.SIGINT) == 0
    until(lambda: not any(map(lives, processes)), 10, "the end of every process of the stack")
    assert not (up.data_dir / "connection.json").exists()

    later = start()
    assert later.connection.token == up.connection.token
    assert [one.id for one in later.client.jobs()] == [again.id, job.id]


@pytest.mark.slow
@pytest.mark.chaos
def test_killing_each_process_of_the_stack_changes_no_result(start: Callable[[], Up]) -> None:
    up = start()
    job = up.client.submit(RECIPE, TRACK, [1, 2])
    until(lambda: is_running(up, job), 60, "a run to be under way")
    for service in ("worker-1", "redis", "api"):
        pid = up.pid_of(service)
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid, service=service: up.pid_of(service) != pid, 30, f"a new {service}")
        until(up.is_ready, 30, "the API to be ready")
    until(lambda: is_running(up, job), 60, "a run to be under way again")
    orphans = up.family()
    up.stop(signal.SIGKILL)
    later = start()
    until(lambda: not any(map(lives, orphans)), 30, "the end of every process of the killed stack")
    done = later.client.wait(job.id)
    assert [one.state for one in done.runs] == ["succeeded", "succeeded"]
    assert digests(later.client, done) == {seed: undisturbed_digest(seed) for seed in (1, 2)}
    assert max(one.attempt for one in done.runs) > 1
