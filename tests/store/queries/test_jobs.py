"""Lists of jobs: filters and pages."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from store.access.accounts import create_user
from store.database.errors import InvalidCursor, NotFound
from store.database.states import JobState
from store.queries.jobs import JobFilter, JobPage, get_job, list_jobs
from store.queries.runs import get_run

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def page(scenario: Scenario, cursor: str | None = None, limit: int = 50, **filters: Any) -> JobPage:
    with scenario.database.reading() as session:
        return list_jobs(session, JobFilter(**filters), cursor, limit)


def ids(page: JobPage) -> list[str]:
    return [listed.job.id for listed in page.items]


def test_pages_hold_every_job_once_the_newest_first_whatever_is_submitted_meanwhile(
    scenario: Scenario,
) -> None:
    jobs = [scenario.submit(scenario.spec(seeds=(seed,))) for seed in range(7)]
    first = page(scenario, limit=3)
    scenario.submit(scenario.spec(seeds=(99,)))
    second = page(scenario, first.next_cursor, limit=3)
    third = page(scenario, second.next_cursor, limit=3)
    assert ids(first) + ids(second) + ids(third) == sorted(
        jobs, key=lambda job_id: (scenario.job(job_id).created_at, job_id), reverse=True
    )
    assert third.next_cursor is None


def test_a_full_last_page_has_no_next(scenario: Scenario) -> None:
    for seed in range(3):
        scenario.submit(scenario.spec(seeds=(seed,)))
    assert page(scenario, limit=3).next_cursor is None


def test_an_empty_service_has_an_empty_list(scenario: Scenario) -> None:
    assert page(scenario) == JobPage([], None)


def test_filters_narrow_the_list(scenario: Scenario) -> None:
    with scenario.database.transaction() as session:
        ada = create_user(session, "ada")
    done = scenario.submit(scenario.spec(seeds=(1,)))
    scenario.complete_all()
    hers = scenario.submit(scenario.spec("finetune", seeds=(1,)), user_id=ada.id)
    elsewhere = scenario.submit(scenario.spec(seeds=(1,), track="digits-b0-inc5-m50-convnet"))
    assert ids(page(scenario, state=JobState.succeeded)) == [done]
    assert ids(page(scenario, method="finetune")) == [hers]
    assert ids(page(scenario, user=ada.id)) == [hers]
    assert ids(page(scenario, track="digits-b0-inc5-m50-convnet")) == [elsewhere]
    assert set(ids(page(scenario, state=JobState.queued))) == {hers, elsewhere}
    assert done not in ids(page(scenario, created_after=scenario.job(done).created_at))
    assert ids(page(scenario, method="joint")) == []


def test_the_items_come_with_their_runs(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(4, 2)))
    assert [[run.seed for run in listed.runs] for listed in page(scenario).items] == [[4, 2]]


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_page_of_unreasonable_size_is_refused(scenario: Scenario, limit: int) -> None:
    with pytest.raises(ValueError, match="a page holds 1 … 200 jobs"):
        page(scenario, limit=limit)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "bm90IGpzb24",
        base64.urlsafe_b64encode(b"[1,2]").decode(),
        base64.urlsafe_b64encode(b'["2026-01-01","a",[]]').decode(),
    ],
)
def test_a_cursor_this_list_did_not_make_is_refused(scenario: Scenario, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        page(scenario, cursor)


def test_a_cursor_belongs_to_its_filters(scenario: Scenario) -> None:
    for seed in range(3):
        scenario.submit(scenario.spec(seeds=(seed,)))
    cursor = page(scenario, limit=1).next_cursor
    with pytest.raises(InvalidCursor, match="other filters"):
        page(scenario, cursor, method="icarl")


def test_what_is_not_there_is_said_so(scenario: Scenario) -> None:
    with scenario.database.reading() as session:
        with pytest.raises(NotFound, match="job_nowhere"):
            get_job(session, "job_nowhere")
        with pytest.raises(NotFound, match="run_nowhere"):
            get_run(session, "run_nowhere")
