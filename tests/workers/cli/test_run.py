"""`cil run`: where the result goes, and what a failure, a full disk or Ctrl-C leaves of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TRACK = "digits-b0-inc5-m50-convnet"
ONE_EPOCH = {"epochs": 1, "milestones": []}
QUICK = {"name": "finetune", "preset": "small", "first_task": ONE_EPOCH, "later_tasks": ONE_EPOCH}
COMMAND = [sys.executable, "-c", "import typer; from workers.cli.commands import run; typer.run(run)"]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
    return inherited | {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def cil_run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """`cil_run(job, *options)`."""

    def call(job: dict[str, Any], *options: object) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, str(_spec(tmp_path, job)), "--data-dir", str(tmp_path), *map(str, options)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)

    return call


def _spec(folder: Path, job: dict[str, Any]) -> Path:
    spec = folder / "spec.json"
    spec.write_text(json.dumps({"method": QUICK, "track": TRACK} | job))
    return spec


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with no room left."""
    disk = tmp_path / "full"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error of a run that did not start."""
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_a_missing_folder_is_refused_before_training(cil_run: Run, tmp_path: Path) -> None:
    line = _refusal(cil_run({"seed": 1}, "--out", tmp_path / "missing" / "result.json"))
    assert line == f"cil run: --out: the folder {tmp_path}/missing does not exist; create it first"


def test_a_directory_is_refused_before_training(cil_run: Run, tmp_path: Path) -> None:
    line = _refusal(cil_run({"seed": 1}, "--out", tmp_path))
    assert line == f"cil run: --out: {tmp_path} is a directory; give the path of a file"


def test_a_folder_that_is_a_file_is_refused_before_training(cil_run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "does not exist" in _refusal(cil_run({"seed": 1}, "--out", tmp_path / "file" / "result.json"))


def test_a_name_that_the_file_system_refuses_is_refused_before_training(cil_run: Run, tmp_path: Path) -> None:
    assert "File name too long" in _refusal(cil_run({"seed": 1}, "--out", tmp_path / ("x" * 256)))


def test_the_longest_name_is_accepted(cil_run: Run, tmp_path: Path) -> None:
    assert cil_run({"seed": 1}, "--out", tmp_path / ("x" * 255)).returncode == 0
    assert json.loads((tmp_path / ("x" * 255)).read_text())["runs"]


def test_a_full_disk_is_refused_before_training(cil_run: Run, full_disk: Path) -> None:
    line = _refusal(cil_run({"seed": 1}, "--out", full_disk / "result.json"))
    assert "No space left on device" in line
    assert list(full_disk.iterdir()) == []


def test_a_result_that_cannot_be_written_is_printed(cil_run: Run) -> None:
    done = cil_run({"seed": 1}, "--out", "/dev/full")
    assert done.returncode == 1
    assert "cannot write /dev/full: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert [run["seed"] for run in json.loads(done.stdout)["runs"]] == [1]


def test_the_result_is_written_to_the_file_alone(cil_run: Run, tmp_path: Path) -> None:
    target = tmp_path / "results" / "real.json"
    target.parent.mkdir()
    (tmp_path / "link.json").symlink_to(target)
    done = cil_run({"seed": 1}, "--out", tmp_path / "link.json")
    assert (done.returncode, done.stdout) == (0, "")
    result = json.loads(target.read_text())
    assert ([run["seed"] for run in result["runs"]], result["failures"]) == ([1], [])
    assert list(target.parent.iterdir()) == [target]
    assert (tmp_path / "link.json").is_symlink()


def test_a_seed_that_fails_does_not_stop_the_others(cil_run: Run, tmp_path: Path) -> None:
    explosive = {"epochs": 2, "milestones": [], "lr": 100, "momentum": 0.99}
    method = QUICK | {"first_task": explosive, "later_tasks": explosive}
    done = cil_run({"method": method, "seeds": [1, 2, 3, 4, 5]}, "--out", tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    finished, failed = ({one["seed"] for one in result[kind]} for kind in ("runs", "failures"))
    assert failed
    assert finished | failed == {1, 2, 3, 4, 5}
    assert not finished & failed
    assert done.returncode == 1
    assert {failure["error"] for failure in result["failures"]} == {"Diverged"}
    assert all(f"seed {one['seed']}: Diverged: {one['message']}" in done.stderr for one in result["failures"])
    assert f"{len(failed)} of 5 seeds failed" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_keeps_its_finished_seeds(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    out = tmp_path / "result.json"
    spec = _spec(tmp_path, {"seeds": list(range(1, 41))})
    command = [*COMMAND, str(spec), "--data-dir", str(tmp_path), "--out", str(out)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not out.exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        before = json.loads(out.read_text())["runs"]
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    after = json.loads(out.read_text())["runs"]
    assert process.returncode == 130
    assert after[: len(before)] == before
    assert len(after) < 40
    assert f"interrupted: {len(after)} of 40 seeds are complete" in errors
    assert "Traceback" not in errors


def test_an_interrupt_before_the_first_seed_keeps_an_earlier_result(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "result.json"
    out.write_text("an earlier result")
    endless = QUICK | {"later_tasks": {"epochs": 1000, "lr": 0.001, "milestones": []}}
    spec = _spec(tmp_path, {"method": endless, "seed": 1})
    command = [*COMMAND, str(spec), "--data-dir", str(tmp_path), "--out", str(out)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert "task 1: 5 classes" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.read_text() == "an earlier result"
