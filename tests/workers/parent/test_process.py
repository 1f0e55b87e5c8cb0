"""A child process and its manners: real forks, no database."""

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
    """All it says until it ends."""
    reports = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended = child.ended
        reports += child.read(0.5)
        if ended:
            return reports
    raise AssertionError(f"still running; at last it said {reports[-1]}")


def first_event(child):
    """Wait until the run has begun."""
    seen = []
    while not any(isinstance(report, Progress) for report in seen):
        assert not child.ended, child.evidence()
        seen += child.read(1)


def test_a_child_tells_every_event_and_ends(start, recipes):
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


def test_a_resumed_child_still_knows_how_long_finished_tasks_took(start, recipes, tmp_path):
    first = start(recipes["quick"])
    told = {
        report.event.task: report.seconds
        for report in everything(first)
        if isinstance(report, Progress) and report.seconds
    }
    second = start(recipes["quick"], directory=tmp_path / "attempt-2", earlier=(tmp_path / "attempt-1",))
    retold = {
        report.event.task: report.seconds
        for report in everything(second)
        if isinstance(report, Progress) and report.seconds
    }
    assert retold == told
    assert len(told) == 5


def test_a_child_leads_its_own_session_and_group(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    assert os.getsid(child.pid) == child.pid == os.getpgid(child.pid) != os.getpgid(0)


def test_a_child_stops_at_the_next_event_when_asked_to(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    child.request_stop()
    assert isinstance(everything(child)[-1], Stopped)


def test_a_child_without_news_kills_itself_and_says_why(start, recipes):
    child = start(recipes["endless"])
    first_event(child)
    child.renew(0.5)
    everything(child)
    assert child.evidence()["exit_signal"] == "SIGKILL"
    assert "no news from the supervisor for as long as the lease" in child.evidence()["log_tail"][-1]


def test_a_child_with_news_lives_on(start, recipes):
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
    assert "the supervisor is gone" in child.evidence()["log_tail"][-1]


def test_a_child_that_cannot_obey_is_killed_all_the_same(start, recipes):
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


def test_a_spec_that_cannot_run_is_invalid_and_says_where(start, recipes):
    report = everything(start(recipes["quick"], track="digits-b20-inc2-m50-convnet"))[-1]
    assert isinstance(report, Failed)
    assert report.failure == "invalid_spec"
    assert "20 classes" in report.message
