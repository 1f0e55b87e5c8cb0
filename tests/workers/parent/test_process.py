"""A child process: real forks, no database."""

import os
import signal
import time

import pytest

from cil_core.spec.jobs import RunSpec
from workers.parent.process import ChildProcess
from workers.protocol import Assignment, Failed, Finished, Progress, Ready, Stopped

pytestmark = pytest.mark.usefixtures("fork_server")
TRACK = "digits-b0-inc2-m50-convnet"


@pytest.fixture
def start(tmp_path):
    """Starts a child with an assignment."""
    children = []

    def begin(method=None, track=TRACK, **changes):
        spec = method and RunSpec.model_validate({"method": method, "track": track, "seed": 1})
        assignment = {
            "device": "cpu",
            "threads": 1,
            "memory_bytes": None,
            "lease_seconds": 60,
            "data_root": tmp_path,
            "directory": tmp_path / "attempt-1",
        }
        children.append(ChildProcess(Assignment(spec=spec, **{**assignment, **changes})))
        return children[-1]

    yield begin
    for child in children:
        child.close()


def everything(child):
    """All reports until it exits."""
    reports = []
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        ended = child.ended
        reports += child.read(0.5)
        if ended:
            return reports
    raise AssertionError(f"still running; the last report is {reports[-1]}")


def first_event(child):
    """Wait until the run has begun."""
    seen = []
    while not any(isinstance(report, Progress) for report in seen):
        assert not child.ended, child.evidence()
        seen += child.read(1)


def test_a_child_reports_every_event_and_exits(start, recipes):
    child = start(recipes["quick"])
    reports = everything(child)
    assert isinstance(reports[0], Ready)
    assert isinstance(reports[-1], Finished)
    evaluated = [
        report for report in reports if isinstance(report, Progress) and report.event.kind == "task_evaluated"
    ]
    assert [report.event.task for report in evaluated] == [0, 1, 2, 3, 4]
    assert all(0 < report.seconds < 60 for report in evaluated)
    assert reports[-1].environment["peak_host_bytes"] > 2**20
    assert child.evidence()["exit_code"] == 0


def test_a_resumed_child_reports_the_durations_of_finished_tasks(start, recipes, tmp_path):
    first = start(recipes["quick"])
    first_durations = {
        report.event.task: report.seconds
        for report in everything(first)
        if isinstance(report, Progress) and report.seconds
    }
    second = start(recipes["quick"], directory=tmp_path / "attempt-2", earlier=(tmp_path / "attempt-1",))
    second_durations = {
        report.event.task: report.seconds
        for report in everything(second)
        if isinstance(report, Progress) and report.seconds
    }
    assert second_durations == first_durations
    assert len(first_durations) == 5


def test_a_child_leads_its_own_session_and_group(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    assert os.getsid(child.pid) == child.pid == os.getpgid(child.pid) != os.getpgid(0)


def test_a_child_stops_at_the_next_event_after_sigterm(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    child.request_stop()
    assert isinstance(everything(child)[-1], Stopped)


def test_a_child_without_a_renewal_kills_itself_and_logs_why(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    child.renew(0.5)
    everything(child)
    assert child.evidence()["exit_signal"] == "SIGKILL"
    assert "no renewal from the supervisor within the lease" in child.evidence()["log_tail"][-1]


def test_a_child_with_renewals_keeps_running(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    until = time.monotonic() + 6
    while time.monotonic() < until:
        child.renew(4)
        child.read(0.2)
    assert not child.ended


def test_a_child_whose_watch_closes_kills_itself(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    child._watch.close()
    everything(child)
    assert child.evidence()["exit_signal"] == "SIGKILL"
    assert "the supervisor has exited" in child.evidence()["log_tail"][-1]


def test_a_stopped_child_can_be_killed(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    os.kill(child.pid, signal.SIGSTOP)
    child.kill()
    assert child.ended
    assert child.evidence()["exit_signal"] == "SIGKILL"


def test_a_device_that_does_not_work_is_reported(start):
    (report,) = everything(start(device="cuda:99"))
    assert isinstance(report, Failed)
    assert report.failure == "infrastructure"
    assert "cuda:99 does not work here" in report.message


def test_a_spec_that_cannot_run_is_invalid(start, recipes):
    report = everything(start(recipes["quick"], track="digits-b20-inc2-m50-convnet"))[-1]
    assert isinstance(report, Failed)
    assert report.failure == "invalid_spec"
    assert "20 classes" in report.message
