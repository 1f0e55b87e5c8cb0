"""One attempt under supervision, in this process: real children, a real database, limits of seconds."""

import os
import signal
import subprocess
import threading
import time

import pytest

from cil_core.spec import events
from store import runs
from store.database.errors import LeaseLost
from workers.parent.event_writer import EventWriter
from workers.parent.execution import Execution, Placement

pytestmark = pytest.mark.usefixtures("fork_server")


class Attempt:
    """An execution in a thread, and the child it has started."""

    def __init__(self, workshop, **changes):
        self.claim = workshop.claim()
        self.workshop = workshop
        self.execution = Execution(
            self.claim, workshop.database, workshop.settings(**changes), Placement("cpu", 1), time.monotonic()
        )
        self.thread = threading.Thread(target=self.execution.run)
        self.thread.start()

    def join(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.workshop.run(self.claim.run_id)


@pytest.fixture
def attempt(workshop):
    """Starts an attempt at a run of a recipe; drained at the end."""
    started = []

    def start(method, **changes):
        workshop.submit(method)
        started.append(Attempt(workshop, **changes))
        return started[-1]

    yield start
    for each in started:
        each.execution.drain()
        each.thread.join(30)


@pytest.fixture
def child_of(until):
    """The process id of the child of an attempt, once its run has started."""

    def find(attempt):
        until(lambda: attempt.workshop.run(attempt.claim.run_id).task_sizes)
        return next(child for child in _descendants() if os.getsid(child) == child)

    return find


def _descendants():
    import psutil

    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def _has_exited(pid):
    import psutil

    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_silent_child_is_hung_and_killed(attempt, child_of, recipes):
    hung = attempt(recipes["endless"], hung_minutes=0.5)
    child = child_of(hung)
    os.kill(child, signal.SIGSTOP)
    run = hung.join()
    assert (run.state, run.failure) == ("queued", "hung")
    assert run.message.startswith("no event for 0.5")
    assert _has_exited(child)


def test_methods_with_the_same_first_task_train_it_once(workshop, attempt, recipes):
    first = attempt(recipes["quick"], share_first_task=True).join()
    second = attempt({**recipes["quick"], "name": "replay"}, share_first_task=True).join()
    assert (first.state, second.state) == ("succeeded", "succeeded")
    shared = [
        event.payload["diagnostics"].get("first_task_shared")
        for event in workshop.events(second.id)
        if event.kind == "task_evaluated"
    ]
    assert shared == [1, None, None, None, None]
    assert len(list((workshop.directory / "first-tasks").iterdir())) == 1


def test_a_run_over_its_time_limit_fails_as_timed_out(attempt, recipes):
    run = attempt(recipes["endless"], run_hours=2 / 3600).join()
    assert (run.state, run.failure) == ("failed", "timed_out")
    assert "exceeded the limit" in run.message


def test_a_run_over_its_memory_limit_fails_as_out_of_memory(workshop, attempt):
    hungry = {
        "name": "finetune",
        "first_task": {"epochs": 1, "batch_size": 4096, "milestones": []},
        "later_tasks": {"epochs": 1, "milestones": []},
    }
    workshop.track = "digits-b0-inc10-m0-resnet32"
    run = attempt(hungry, memory_gib=1).join()
    assert (run.state, run.failure) == ("failed", "out_of_memory")
    assert "on the host, running on cpu" in run.message
    assert "of 1.0 GiB" in run.message
    assert run.evidence["peak_host_bytes"] > 2**27


def test_a_diverging_run_fails_as_diverged(attempt):
    run = attempt(
        {
            "name": "finetune",
            "first_task": {"epochs": 9, "batch_size": 16, "lr": 100, "milestones": [], "weight_decay": 1},
        }
    ).join()
    assert (run.state, run.failure) == ("failed", "diverged")
    assert "task" in run.message


def test_an_unwritable_checkpoint_is_the_reason_of_the_failure(workshop, attempt, recipes):
    workshop.directory.joinpath("checkpoints").write_text("a file instead of the directory")
    run = attempt(recipes["quick"], max_attempts=1).join()
    assert (run.state, run.failure) == ("dead", "infrastructure")
    assert "cannot write" in run.message
    assert run.evidence["traceback"]


def test_a_child_killed_by_a_signal_is_retried(attempt, child_of, recipes):
    killed = attempt(recipes["endless"])
    os.kill(child_of(killed), signal.SIGSEGV)
    run = killed.join()
    assert (run.state, run.failure, run.evidence["exit_signal"]) == ("queued", "infrastructure", "SIGSEGV")
    assert run.evidence["environment"]["device"] == "cpu"
    assert len(run.evidence["log_tail"]) <= 50


def test_a_fenced_out_attempt_kills_its_child_and_writes_nothing(workshop, attempt, child_of, recipes):
    fenced = attempt(recipes["endless"])
    child = child_of(fenced)
    with workshop.database.transaction() as session:
        runs.release(session, fenced.claim, "taken away by the test")
    taken = workshop.claim("another")
    run = fenced.join()
    assert (run.state, run.attempt, run.worker_id) == ("running", taken.attempt, "another")
    assert _has_exited(child)
    assert not [
        event
        for event in workshop.events(run.id)
        if event.payload.get("attempt") == 1 and event.sequence > _sequence(workshop, run.id, "run_released")
    ]


def _sequence(workshop, run_id, kind):
    return next(event.sequence for event in workshop.events(run_id) if event.kind == kind)


def test_a_child_that_does_not_stop_is_killed_after_the_grace_period(attempt, child_of, recipes):
    stubborn = attempt(recipes["endless"], grace_seconds=0.5)
    child = child_of(stubborn)
    os.kill(child, signal.SIGSTOP)
    stubborn.execution.drain()
    run = stubborn.join()
    assert (run.state, run.charged) == ("queued", 0)
    assert _has_exited(child)


def test_epochs_are_recorded_at_most_once_per_interval(attempt, until, recipes, workshop):
    seldom = attempt(recipes["endless"], progress_seconds=600)

    def recorded():
        return [event.kind for event in workshop.events(seldom.claim.run_id)].count("epoch_finished")

    until(recorded)
    time.sleep(1)
    assert recorded() == 1


def test_a_lease_of_another_attempt_is_not_renewed(workshop, recipes):
    workshop.submit(recipes["quick"])
    claim = workshop.claim()
    writer = EventWriter(workshop.database, claim, workshop.settings(), time.monotonic())
    assert writer.heartbeat() is False
    assert writer.lease_left > 3
    with workshop.database.transaction() as session:
        runs.release(session, claim, "released by the test")
    with pytest.raises(LeaseLost):
        writer.heartbeat()
    with pytest.raises(LeaseLost):
        writer.record(events.TaskStarted(task=0, known=0, seen=2, train_images=1, exemplars=0), None)


@pytest.fixture
def small_disk(workshop):
    """Checkpoints go to a disk of 64 KiB."""
    disk = workshop.directory / "checkpoints"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_the_reason_of_the_failure_and_leaves_no_partial_file(attempt, recipes, small_disk):
    run = attempt(recipes["quick"], max_attempts=1).join()
    assert (run.state, run.failure) == ("dead", "infrastructure")
    assert "No space left on device" in run.message
    assert not [path for path in small_disk.rglob("*") if path.suffix in {".json", ".pt"}]
