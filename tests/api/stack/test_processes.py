"""Supervised processes: restarted, stopped in order, never left behind, and no other process touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from api.stack.processes import Service, stop_leftovers

ENDLESS = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"
    "while True: signal.pause()",
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[[list[str]], Service]]:
    """`service(command)`: a service that has been started, and is ended with the test."""
    made: list[Service] = []

    def make(command: list[str]) -> Service:
        made.append(Service("test", command, dict(os.environ), tmp_path / f"{len(made)}.log"))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.request_stop()
        one.wait(0.1)


def is_up(service: Service) -> bool:
    return "up" in service.log_file.read_text()


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_service_that_dies_is_restarted(service, eventually, caplog) -> None:
    one = service(ENDLESS)
    eventually(lambda: is_up(one))
    assert not one.revive()
    before = one.process.pid
    os.kill(before, signal.SIGKILL)
    eventually(one.revive)
    assert one.process.pid != before
    assert one.process.poll() is None
    assert "test exited (SIGKILL) and is restarted" in caplog.text


def test_a_service_that_cannot_work_is_not_restarted_and_its_reason_is_logged(
    service, eventually, caplog
) -> None:
    one = service([sys.executable, "-c", "print('cuda:7 does not exist'); raise SystemExit(2)"])
    eventually(lambda: one.process.poll() is not None)
    assert one.revive() is False
    assert "test cannot work and is not restarted: cuda:7 does not exist" in caplog.text
    time.sleep(0.3)  # longer than the first pause
    assert one.revive() is False
    assert one.process.returncode == 2


def test_pauses_grow_with_quick_deaths_in_a_row(service, eventually) -> None:
    one = service([sys.executable, "-c", "raise SystemExit(3)"])
    revived: list[float] = []

    def thrice() -> bool:
        if one.revive():
            revived.append(time.monotonic())
        return len(revived) == 4

    eventually(thrice)
    pauses = [later - earlier for earlier, later in pairwise(revived)]
    assert [pause > least for pause, least in zip(pauses, (0.4, 0.8, 1.6), strict=True)] == [True] * 3


def test_a_stopped_service_stays_stopped(service, eventually) -> None:
    one = service(ENDLESS)
    eventually(lambda: is_up(one))
    one.request_stop()
    one.wait(10)
    assert one.process.returncode == -signal.SIGTERM
    assert not one.revive()


def test_a_service_that_ignores_sigterm_is_killed(service, eventually) -> None:
    one = service(STUBBORN)
    eventually(lambda: is_up(one))
    one.request_stop()
    one.wait(0.2)
    assert one.process.returncode == -signal.SIGKILL


def test_ctrl_c_in_the_terminal_reaches_the_supervisor_alone(service) -> None:
    assert os.getsid(service(ENDLESS).process.pid) != os.getsid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent")
def test_a_service_dies_with_a_killed_supervisor(tmp_path, eventually) -> None:
    code = f"""
import os, signal
from itertools import pairwise
from pathlib import Path
from api.stack.processes import Service
service = Service("test", {ENDLESS!r}, dict(os.environ), Path({str(tmp_path / "log")!r}))
service.start()
print(service.process.pid, flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        pid = int(supervisor.stdout.readline())
        assert lives(pid)
        supervisor.kill()
    eventually(lambda: not lives(pid))


def test_leftovers_are_stopped_and_processes_that_reuse_their_ids_are_not(
    service, eventually, tmp_path
) -> None:
    left, stranger = service(ENDLESS), service(ENDLESS)
    file = tmp_path / "processes.json"
    reused = stranger.identity().model_dump()
    reused["created"] -= 100
    gone = {"name": "gone", "pid": 2**22 + 1, "created": 1.0}
    never = {"name": "never", "pid": None, "created": None}
    file.write_text(json.dumps([left.identity().model_dump(), reused, gone, never]))
    stop_leftovers(file)
    eventually(lambda: not lives(left.process.pid))
    assert stranger.process.poll() is None
    assert not file.exists()
    stop_leftovers(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'[{"name": "api", "pi',
        b"{}",
        b"[1]",
        b"\x00" * 40,
        b"\xff\xfe",
        b'[{"name": "api"}]',
        b"[" * 10_000,
    ],
)
def test_a_damaged_process_list_is_deleted_with_a_warning(tmp_path, content, caplog) -> None:
    file = tmp_path / "processes.json"
    file.write_bytes(content)
    stop_leftovers(file)
    assert not file.exists()
    assert f"{file} is damaged and deleted" in caplog.text


@pytest.mark.parametrize("pid", [0, -1, 2**40])
def test_an_impossible_process_id_is_ignored(tmp_path, pid) -> None:
    file = tmp_path / "processes.json"
    file.write_text(json.dumps([{"name": "api", "pid": pid, "created": 1.0}]))
    stop_leftovers(file)
    assert not file.exists()


def test_a_service_is_repaired_after_three_failed_starts(tmp_path, eventually) -> None:
    damaged = tmp_path / "damaged"
    damaged.touch()
    code = f"""
import os, signal, sys
if os.path.exists({str(damaged)!r}): sys.exit("damaged")
print("up")
signal.pause()
"""
    complaints: list[str] = []

    def repair(line: str) -> None:
        complaints.append(line)
        damaged.unlink()

    one = Service("test", [sys.executable, "-uc", code], dict(os.environ), tmp_path / "log", repair)
    one.start()
    eventually(lambda: (one.revive(), is_up(one))[1])
    one.request_stop()
    one.wait(5)
    assert complaints == ["damaged"]
    assert one.log_file.read_text().count("damaged") == 3
