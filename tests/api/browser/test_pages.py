"""Journeys through the pages: comparing, choosing columns, submitting, following and cancelling."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

from playwright.sync_api import Page, expect

from store import runs
from tests.api.browser.settings import MARKS, TRACK

pytestmark = MARKS


def compare_two(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name=TRACK).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(TRACK)
    page.get_by_role("link", name=re.compile("Last acc")).click()
    assert "sort=last_accuracy" in page.url
    expect(page.get_by_role("columnheader", name=re.compile("Last acc"))).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_role("checkbox", name=re.compile("Select Replay")).check()
    page.get_by_role("checkbox", name=re.compile("Select iCaRL")).check()
    page.get_by_role("button", name="Compare the selected entries").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Compar")
    assert page.url.count("entry=") == 2
    page.go_back()
    assert "sort=last_accuracy" in page.url


def test_from_home_to_a_comparison_and_back(visit: Any) -> None:
    compare_two(visit())


def test_the_same_without_scripts(visit: Any) -> None:
    compare_two(visit(java_script_enabled=False))


def test_a_job_is_submitted_and_followed_live_to_its_end(visit: Any, site: Any) -> None:
    page = visit()
    page.goto("/submit?method=wa")
    page.get_by_label("Seeds").fill("7")
    page.get_by_label("temperature").fill("3.5")
    expect(page.locator("#equivalent pre").first).to_contain_text(
        '"temperature": 3.5'
    )  # the JSON follows what is typed
    page.get_by_label("Token").fill(site.service.token)
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url("**/jobs/job_*")
    expect(page.locator(".state")).to_have_text("queued")
    page.get_by_role("link", name="7", exact=True).click()
    expect(page.get_by_text("The run waits for a worker")).to_be_visible()
    page.evaluate("window.stays = true")
    worker = threading.Thread(target=site.service.complete_all)
    worker.start()
    expect(page.locator(".state")).to_have_text("succeeded")
    worker.join()
    expect(page.get_by_role("heading", name="Accuracy matrix")).to_be_visible()
    assert page.evaluate("window.stays"), "the page was reloaded instead of being morphed"
    expect(page.get_by_role("toolbar").first).to_be_visible()  # figures are interactive now
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    time.sleep(4)
    assert sent == [], "the page still sends requests although the state is final"


def test_columns_are_chosen_and_the_back_button_undoes_it(visit: Any) -> None:
    page = visit(java_script_enabled=False)
    page.goto(f"/tracks/{TRACK}?sort=forgetting")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Harmonic mean", exact=True).check()
    page.get_by_label("Params, M").uncheck()
    page.get_by_role("button", name="Show these columns").click()
    expect(page.get_by_role("columnheader", name=re.compile("Harmonic mean"))).to_be_visible()
    expect(page.get_by_role("columnheader", name=re.compile("Params"))).to_have_count(0)
    assert "sort=forgetting" in page.url
    page.go_back()
    expect(page.get_by_role("columnheader", name=re.compile("Params"))).to_be_visible()


def test_a_form_that_is_wrong_says_where(visit: Any, site: Any) -> None:
    page = visit(java_script_enabled=False)
    page.goto("/submit")
    page.get_by_label("Seeds").fill("1, 1")
    page.get_by_label("Token").fill(site.service.token)
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_label("Seeds")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#fault-seeds")).to_contain_text("duplicate seeds: 1")


def test_a_job_is_cancelled(visit: Any, site: Any, client: Any, a_job: Any) -> None:
    job = client.post("/api/v1/jobs", json=a_job("lwf", (1,))).json()
    page = visit()
    page.goto(f"/jobs/{job['id']}")
    page.get_by_label("Token").fill(site.service.token)
    claim = site.service.claim()
    site.service.start(claim)  # an event: the page is morphed, and what is typed stays
    expect(page.locator(".state")).to_have_text("running")
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.locator("tbody")).to_contain_text("running")
    with site.service.database.transaction() as session:
        runs.fail(session, claim, runs.FailureClass.cancelled, "cancelled on request", {})
    expect(page.locator(".state")).to_have_text("cancelled")
