"""A run of a submitted method resumes with the same result after any interruption, and leaves no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cil_core.engine.checkpoint import STATE_BYTES, CheckpointStore
from cil_core.spec.events import EpochFinished, Event, RunStarted, TaskEvaluated
from tests.workers.arena.submissions import TWO_TASKS, Examine, evaluations, spec_of
from workers.arena.fork_server import ForkServer

EXAMPLES = Path(__file__).parents[3] / "examples"


def store(folder: Path, attempt: int) -> CheckpointStore[bytes]:
    earlier = [folder / f"attempt-{number}" for number in range(1, attempt)]
    return CheckpointStore(STATE_BYTES, folder / f"attempt-{attempt}", earlier)


def candidates(server: ForkServer) -> list[psutil.Process]:
    return psutil.Process(server.pid).children()


def same_end(resumed: list[Event], whole: list[Event]) -> bool:
    return evaluations(resumed) == evaluations(whole) and resumed[-1] == whole[-1]


def test_a_run_resumes_between_tasks_and_after_a_kill_within_one(
    examined: Examine, server: ForkServer, tmp_path: Path
) -> None:
    spec = spec_of("icarl")
    whole = [*examined(spec, repeated=0)]
    for event in examined(spec, repeated=0, checkpoints=store(tmp_path, 1)):
        if isinstance(event, TaskEvaluated):
            break
    disturbed = examined(spec, repeated=0, checkpoints=store(tmp_path, 2))
    next(event for event in disturbed if isinstance(event, EpochFinished) and event.task == 1)
    os.kill(candidates(server)[0].pid, signal.SIGKILL)
    with pytest.raises(ChildProcessError):
        list(disturbed)
    resumed = [*examined(spec, repeated=0, checkpoints=store(tmp_path, 3))]
    assert isinstance(resumed[0], RunStarted)
    assert resumed[0].resumed_at == 1
    assert same_end(resumed, whole)


def test_a_damaged_state_is_passed_over(examined: Examine, tmp_path: Path) -> None:
    spec = spec_of("ewc", TWO_TASKS)
    whole = [*examined(spec, repeated=0, checkpoints=store(tmp_path, 1))]
    newest = tmp_path / "attempt-1" / "task-002.state"
    newest.write_bytes(newest.read_bytes()[:-1])
    resumed = [*examined(spec, repeated=0, checkpoints=store(tmp_path, 2))]
    assert isinstance(resumed[0], RunStarted)
    assert resumed[0].resumed_at == 1
    assert resumed[0].skipped_checkpoints == ("attempt-1/task-002: tensors do not match their SHA-256",)
    assert same_end(resumed, whole)


def test_a_run_that_stops_early_leaves_no_process_and_no_descriptor(
    examined: Examine, server: ForkServer
) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    events = examined(spec_of("replay", TWO_TASKS))
    for event in events:
        if isinstance(event, EpochFinished):
            break
    events.close()
    assert candidates(server) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.slow
def test_candidates_end_when_their_examiner_is_killed(tmp_path: Path) -> None:
    text = (
        (EXAMPLES / "adjusted_replay.py")
        .read_text()
        .replace("return {", "while True: pass\n        return {")
    )
    (tmp_path / "endless.py").write_text(text)
    spec = EXAMPLES / "adjusted_replay.json"
    command = [sys.executable, "-m", "api.client", "run", spec, "--method", tmp_path / "endless.py"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as examiner:
        deadline = time.monotonic() + 120
        while len(family := psutil.Process(examiner.pid).children(recursive=True)) < 2:
            assert examiner.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        examiner.kill()
    _, alive = psutil.wait_procs(family, 10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_candidates_end_with_their_fork_server() -> None:
    with ForkServer() as server:
        descriptors = {name: os.memfd_create(name) for name in ("order", "result")}
        reports, log = os.pipe(), os.pipe()
        candidate = psutil.Process(server.fork({**descriptors, "reports": reports[1], "log": log[1]}).pid)
        for descriptor in (*descriptors.values(), *reports, *log):
            os.close(descriptor)
    psutil.wait_procs([candidate], 5)
    assert not candidate.is_running() or candidate.status() == psutil.STATUS_ZOMBIE
