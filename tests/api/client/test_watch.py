"""A job as its events tell it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from api.client import Client
from api.client.tables import sparkline
from api.client.watch import JobProgress, watch_job

DIGITS = "digits-b0-inc2-m50-convnet"


@pytest.fixture
def progress(sdk: Client, service) -> JobProgress:
    """The view of a job of two runs, one of which has succeeded; the other is at its second task."""
    job = sdk.submit("replay", DIGITS, [1, 2])
    service.complete(service.claim())
    claim = service.claim()
    service.start(claim)
    service.evaluate(claim, 0)
    progress = JobProgress(job)
    for event in sdk.follow(job.id):
        progress.apply(event)
        if event.kind == "task_evaluated" and event.run_id == job.runs[1].id:
            break
    return progress


def test_a_view_follows_each_run(progress: JobProgress) -> None:
    first, second = progress.runs.values()
    assert (first.state, first.tasks, len(first.curve)) == ("succeeded", 5, 5)
    assert first.curve[0] == pytest.approx(0.94)
    assert (second.state, len(second.curve)) == ("running", 1)
    assert second.note == "task 1: linear 93.0 %, nme 92.0 %"


def test_a_view_is_a_table_with_a_curve_for_each_run(progress: JobProgress) -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(progress.table())
    text = console.file.getvalue()
    assert "5/5" in text
    assert "1/5" in text
    assert sparkline(next(iter(progress.runs.values())).curve) in text


def test_on_a_terminal_the_table_lives_until_the_job_ends(sdk: Client, service) -> None:
    job = sdk.submit("replay", DIGITS, [1])
    service.complete_all()
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    watch_job(sdk, job, console)
    assert "succeeded" in console.file.getvalue()


def test_a_sparkline_has_a_bar_for_each_value() -> None:
    assert sparkline([0, 0.124, 0.126, 0.5, 0.99, 1]) == "▁▁▂▅██"
