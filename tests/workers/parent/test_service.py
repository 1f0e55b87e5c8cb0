"""Whole workers as processes: killed, stopped, drained."""

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest
import redis as redis_client

from workers.parent.listener import Listener


def test_the_process_of_a_run_holds_no_secret_and_exits_after_a_cancellation(workshop, recipes, until):
    run_id = workshop.submit(recipes["endless"])
    worker = workshop.start_worker(redis_url="redis://:a-secret@127.0.0.1:1/0", token="cil_secret")
    until(lambda: workshop.run(run_id).task_sizes)
    (runner,) = worker.runners()
    environment = runner.environ()
    assert not [name for name in environment if name.startswith("CIL_")]
    assert not [value for value in environment.values() if "secret" in value or workshop.url in value]
    workshop.cancel(run_id)
    run = workshop.await_state(run_id, "cancelled")
    assert run.failure == "cancelled"
    until(lambda: not worker.runners())
    assert worker.process.poll() is None


def test_another_worker_finishes_the_run_of_a_killed_one(any_workshop, reference, until):
    workshop = any_workshop
    run_id = workshop.submit()
    first = workshop.start_worker()
    workshop.await_tasks(run_id, 2)
    family = first.family()
    first.send(signal.SIGKILL)
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family))
    workshop.start_worker()
    run = workshop.await_state(run_id, "succeeded", "failed", "dead")
    assert run.matrix_digest == reference["matrix_digest"]
    assert [attempt.outcome for attempt in run.attempts] == ["lost", "succeeded"]
    resumed = [
        event.payload["resumed_at"] for event in workshop.events(run_id) if event.kind == "run_started"
    ]
    assert resumed[0] == 0
    assert resumed[1] >= 2
    kinds = [event.payload["task"] for event in workshop.events(run_id) if event.kind == "task_evaluated"]
    assert kinds == [0, 1, 2, 3, 4]


def test_the_run_of_a_killed_child_is_retried_with_an_identical_result(workshop, reference):
    run_id = workshop.submit()
    worker = workshop.start_worker()
    workshop.await_tasks(run_id, 1)
    worker.runners()[0].kill()
    run = workshop.await_state(run_id, "succeeded", "failed", "dead")
    assert run.matrix_digest == reference["matrix_digest"]
    assert [attempt.outcome for attempt in run.attempts] == ["failed", "succeeded"]
    assert run.attempts[0].failure == "infrastructure"
    assert run.attempts[0].evidence["exit_signal"] == "SIGKILL"
    assert run.environment["threads"] == 1
    assert run.environment["peak_host_bytes"] > 2**20
    assert {"run_started", "task_started", "epoch_finished", "task_evaluated", "run_finished"} <= {
        event.kind for event in workshop.events(run_id)
    }
    assert "libtorch" not in Path(f"/proc/{worker.pid}/maps").read_text(), (
        "the worker process itself has imported PyTorch"
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs g++")
def test_only_a_long_run_is_compiled_and_its_code_is_kept(workshop, recipes, until):
    short, long = (
        workshop.submit(recipes["quick"]),
        workshop.submit({"name": "finetune", "first_task": {"epochs": 10_000, "lr": 0.001}}),
    )
    workshop.start_worker(compile_backbones=True)  # a run after the other
    until(
        lambda: [event for event in workshop.events(long) if event.kind == "epoch_finished"], 270
    )  # half a minute, on a free machine
    compiled = {
        run_id: event.payload["compiled"]
        for run_id in (long, short)
        for event in workshop.events(run_id)
        if event.kind == "run_started"
    }
    assert compiled == {long: True, short: False}
    assert list((workshop.directory / "compiled").rglob("*.so"))


@pytest.fixture
def straying(tmp_path, monkeypatch):
    """The living processes that runs leave behind: `git`, which each run calls, starts one here."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    mark = str(600 + int.from_bytes(os.urandom(4)) / 2**32)
    git.write_text(f'#!/bin/sh\nsleep {mark} >/dev/null 2>&1 &\nexec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    return lambda: [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", mark]]


@pytest.mark.parametrize("end", ["cancelled", "worker killed"])
def test_processes_that_a_run_started_die_with_it(workshop, recipes, straying, until, end):
    run_id = workshop.submit(recipes["endless"])
    worker = workshop.start_worker()
    workshop.await_state(run_id, "running")
    (runner,) = until(worker.runners)
    until(lambda: any(os.getpgid(one.pid) == runner.pid for one in straying()))
    if end == "cancelled":
        workshop.cancel(run_id)
    else:
        worker.send(signal.SIGKILL)
    until(lambda: not straying(), 20)
    until(lambda: not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE)


def test_a_drained_worker_releases_its_run_uncharged(workshop, until):
    run_id = workshop.submit()
    worker = workshop.start_worker()
    workshop.await_tasks(run_id, 1)
    family = worker.family()
    worker.send(signal.SIGTERM)
    assert worker.process.wait(60) == 0
    run = workshop.run(run_id)
    assert (run.state, run.charged, run.attempts[0].outcome) == ("queued", 0, "released")
    assert "shut down" in run.message
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family))


def test_a_stalled_worker_loses_its_run_and_its_child(postgresql_workshop, reference, until):
    # On SQLite a process that is stopped in the middle of a write blocks every other writer, on any design.
    run_id = postgresql_workshop.submit()
    stalled = postgresql_workshop.start_worker(
        progress_seconds=60
    )  # seldom in a transaction, which PostgreSQL would end after a minute
    postgresql_workshop.await_tasks(run_id, 1)
    (runner,) = stalled.runners()
    stalled.send(signal.SIGSTOP)
    until(lambda: not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE)
    postgresql_workshop.start_worker()
    postgresql_workshop.await_tasks(run_id, 3)
    stalled.send(signal.SIGCONT)
    run = postgresql_workshop.await_state(run_id, "succeeded", "failed", "dead")
    assert run.matrix_digest == reference["matrix_digest"]
    assert run.attempts[0].outcome == "lost"
    until(lambda: "no longer holds" in stalled.output or "lost its lease" in stalled.output)


def test_two_wake_ups_start_each_run_once(workshop, recipes, until):
    workshop.redis.start()
    worker = workshop.start_worker(poll_seconds=600)
    until(lambda: "Connected to redis" in worker.output)
    first, second = workshop.submit(recipes["quick"], seed=1), workshop.submit(recipes["quick"], seed=2)
    listener = Listener(workshop.redis.url, "cil")
    listener.ring("cil")
    listener.ring("cil")
    for run_id in (first, second):  # the second follows when the slot is free, not after the poll
        run = workshop.await_state(run_id, "succeeded", "failed")
        assert [attempt.outcome for attempt in run.attempts] == ["succeeded"]


def test_a_worker_with_all_messages_leaves_runs_to_another(workshop, recipes, until):
    workshop.redis.start()
    runs = [workshop.submit(recipes["endless"], seed=seed) for seed in (1, 2)]
    listener = Listener(workshop.redis.url, "cil")
    for _ in range(8):
        listener.ring("cil")
    workshop.start_worker(poll_seconds=600)
    first = workshop.await_state(runs[0], "running").worker_id
    with redis_client.from_url(workshop.redis.url) as connection:
        until(lambda: connection.llen("cil") == 0)  # it took them all
    workshop.start_worker(poll_seconds=600)
    assert workshop.await_state(runs[1], "running").worker_id != first


def test_a_run_cancelled_without_a_worker_never_runs(workshop, recipes):
    workshop.redis.start()
    revoked = workshop.submit(recipes["quick"], seed=1)
    Listener(workshop.redis.url, "cil").ring("cil")
    workshop.cancel(revoked)
    wanted = workshop.submit(recipes["quick"], seed=2)
    workshop.start_worker()
    workshop.await_state(wanted, "succeeded")
    run = workshop.run(revoked)
    assert (run.state, run.attempts) == ("cancelled", [])


HOARDING = """
import mmap, os, pathlib
kept = []

def hoard():
    if pathlib.Path({flag!r}).exists():
        kept.append(mmap.mmap(-1, 3 * 2**29))
        for start in range(0, len(kept[0]), mmap.PAGESIZE):
            kept[0][start] = 1

os.register_at_fork(after_in_child=hoard)
"""


def test_a_run_that_holds_too_much_shared_memory_is_out_of_memory(
    workshop, monkeypatch, tmp_path, recipes, until
):
    """Every forked process takes 1.5 GiB of shared anonymous memory, which RLIMIT_DATA does not count."""
    flag, folder = tmp_path / "hoard", tmp_path / "site"
    folder.mkdir()
    folder.joinpath("sitecustomize.py").write_text(HOARDING.format(flag=str(flag)))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")
    worker = workshop.start_worker(memory_gib=1)
    until(lambda: "slot(s) on" in worker.output)
    flag.touch()
    run = workshop.await_state(workshop.submit(recipes["steady"]), "failed", "dead", "succeeded")
    assert (run.state, run.failure) == ("failed", "out_of_memory")
    assert "GiB of 1.0 GiB" in run.message
