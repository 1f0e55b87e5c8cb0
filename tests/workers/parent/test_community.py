"""Workers that may run submitted files: they test their sandbox before they offer it."""

import pytest

from store import runs
from workers.sandbox import Mode, available


@pytest.fixture(scope="module")
def modes():
    """The modes of this machine, each with the reason why it is missing."""
    return available()


def offered(workshop):
    """What the only worker reports of itself, once it has registered."""
    with workshop.database.reading() as session:
        return [status.info["community"] for status in runs.list_workers(session)]


def test_a_worker_offers_a_mode_whose_probes_are_all_refused(workshop, until, modes):
    mode = next((mode for mode, reason in modes.items() if reason is None), None)
    if mode is None:
        pytest.skip(str(modes))
    worker = workshop.start_worker(community=mode)
    assert until(lambda: offered(workshop)) == [mode]
    assert f"sandbox {mode}" in worker.output


@pytest.mark.slow
@pytest.mark.parametrize("mode", Mode)
def test_a_worker_without_the_mode_logs_why_and_offers_none(workshop, until, modes, mode):
    if not modes[mode]:
        pytest.skip(f"this machine has {mode}")
    worker = workshop.start_worker(community=mode)
    assert until(lambda: offered(workshop)) == [None]
    assert modes[mode] in worker.output


def test_a_worker_of_the_queue_of_submitted_files_needs_a_sandbox(workshop):
    worker = workshop.start_worker("--queue", "community")
    assert worker.process.wait(60) == 2
    assert "CIL_COMMUNITY is off" in worker.output


@pytest.mark.parametrize("mode", Mode)
def test_a_worker_of_that_queue_stops_with_the_reason_why_the_mode_is_missing(workshop, modes, mode):
    if not modes[mode]:
        pytest.skip(f"this machine has {mode}")
    worker = workshop.start_worker("--queue", "community", community=mode)
    assert worker.process.wait(60) == 2
    assert modes[mode] in " ".join(worker.output.split())
