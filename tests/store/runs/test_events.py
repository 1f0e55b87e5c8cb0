"""The journal of a job: in order, without gaps, and over when the job is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.database.states import FailureClass
from store.runs.events import job_events

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def test_a_reader_resumes_after_the_last_event_it_saw(scenario: Scenario) -> None:
    job_id = scenario.submit()
    scenario.complete_all()
    everything = scenario.events(job_id)
    with scenario.database.reading() as session:
        pages, after = [], 0
        while page := job_events(session, job_id, after, limit=7):
            pages.append(page)
            after = page[-1].sequence
        assert [event.sequence for page in pages for event in page] == list(range(1, len(everything) + 1))
        assert max(map(len, pages)) == 7
        assert job_events(session, job_id, after) == []
        assert job_events(session, "job_nowhere") == []


def test_every_job_has_its_own_sequence(scenario: Scenario) -> None:
    jobs = [scenario.submit(scenario.spec(seeds=(seed,))) for seed in (1, 2)]
    scenario.complete_all()
    for job_id in jobs:
        events = scenario.events(job_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert scenario.job(job_id).last_sequence == len(events)


def test_the_last_event_says_how_the_job_ended(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1, 2)))
    scenario.fail(scenario.claim(), FailureClass.diverged)
    assert scenario.kinds(job_id)[-1] == "run_failed"
    scenario.complete_all()
    last = scenario.events(job_id)[-1]
    assert (last.kind, last.run_id, last.payload) == ("job_finished", None, {"state": "failed"})
