"""The pages in a real Chromium: with and without scripts, dark and light, narrow and wide; checked by axe.

browser         a Chromium process
site            a service on which four methods have finished
visit           `visit(**options)`: a page of a new visitor

Installed by `sh tests/browser.sh`; without Chromium these tests skip.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import update

from store.database.models import Summary
from tests.api.browser.settings import CHROMIUM, SMALLER


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(served: Any, client: Any, a_job: Any) -> Any:
    """A service on which four methods have finished, two of them with a smaller budget too."""
    for method, seeds in (
        ("finetune", (1,)),
        ("joint", (1, 2, 3)),
        ("replay", (1, 2, 3)),
        ("icarl", (1, 2, 3)),
    ):
        assert client.post("/api/v1/jobs", json=a_job(method, seeds)).status_code == 202
    for method in ("replay", "icarl"):
        assert client.post("/api/v1/jobs", json={**a_job(method, (1,)), "track": SMALLER}).status_code == 202
    served.service.complete_all()
    with served.service.database.transaction() as session:  # these runs keep equally much
        session.execute(update(Summary).where(Summary.track_slug == SMALLER).values(counted_bytes=4880))
    return served


class Visit:
    """A page of a site, and what its console said."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on(
            "console",
            lambda message: self._note(message.text) if message.type in {"error", "warning"} else None,
        )
        self.page.on("pageerror", lambda error: self._note(str(error)))

    def _note(self, complaint: str) -> None:
        if "status of 422" not in complaint:  # a refused form is an answer, not a fault
            self.complaints.append(complaint)


@pytest.fixture
def visit(browser: Browser, site: Any) -> Iterator[Any]:
    """`visit(**options)`: a fresh visitor; none of them may meet an error on the console."""
    visits: list[Visit] = []

    def arrive(**options: Any) -> Page:
        context = browser.new_context(base_url=site.url, **options)
        context.set_default_timeout(60_000)
        visits.append(Visit(context))
        return visits[-1].page

    yield arrive
    for each in visits:
        each.page.context.close()
    assert [complaint for each in visits for complaint in each.complaints] == []
