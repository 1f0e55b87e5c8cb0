"""The pages in a real Chromium: with and without scripts, dark and light, narrow and wide; checked by axe.

Installed by `sh tests/browser.sh`; without Chromium these tests skip.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import update

from store import runs
from store.database.models import Summary

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = (Path(__file__).parent / "axe.min.js").read_text()
TRACK = "digits-b0-inc2-m50-convnet"
SMALLER = "digits-b0-inc2-m20-convnet"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed; `sh tests/browser.sh` installs it"
    ),
    pytest.mark.parametrize(
        "database_url", ["sqlite"], indirect=True
    ),  # what a browser sees does not depend on the database
    pytest.mark.xdist_group("browser"),
]


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
    assert page.evaluate("window.stays"), "the page was loaded anew instead of being morphed"
    expect(page.get_by_role("toolbar").first).to_be_visible()  # figures are interactive now
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    time.sleep(4)
    assert sent == [], "the page still sends requests although the state is final"


def compared(client: Any) -> str:
    items = client.get(f"/api/v1/leaderboards/{TRACK}").json()["items"]
    return "/compare?" + "&".join(f"entry={entry['id']}" for entry in items[:3])


def test_figures_are_interactive_with_scripts_and_pictures_without(visit: Any, client: Any) -> None:
    for scripts in (True, False):
        page = visit(java_script_enabled=scripts)
        for address, count in ((f"/tracks/{TRACK}", 2), (compared(client), 5)):
            page.goto(address)
            assert page.locator("figure svg.chart[role=img]").count() == count
            expect(page.get_by_role("toolbar")).to_have_count(count if scripts else 0)


def test_a_legend_hides_series_by_keyboard_and_the_address_keeps_it(visit: Any) -> None:
    page = visit()
    page.goto(f"/tracks/{TRACK}")
    figure = page.locator("figure[data-name=curves]")
    buttons = figure.get_by_role("toolbar").get_by_role("button")
    names = [text.strip() for text in buttons.all_inner_texts()]
    buttons.first.focus()
    page.keyboard.press("ArrowRight")
    expect(buttons.nth(1)).to_be_focused()
    series = figure.locator(f'g[data-name="{names[1]}"]')
    expect(series).to_be_visible()
    page.keyboard.press("Enter")
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "false")
    expect(series).to_be_hidden()
    assert "#hide=curves:1" in page.url
    page.reload()
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "false")
    expect(series).to_be_hidden()
    buttons.nth(1).press("Space")
    expect(series).to_be_visible()
    assert "#" not in page.url


def test_a_legend_is_one_tab_stop(visit: Any) -> None:
    page = visit()
    page.goto(f"/tracks/{TRACK}")
    toolbar = page.locator("figure[data-name=curves]").get_by_role("toolbar")
    toolbar.get_by_role("button").first.focus()
    page.keyboard.press("Tab")
    assert not toolbar.evaluate("bar => bar.contains(document.activeElement)")


def test_the_pointer_shows_the_nearest_value(visit: Any, client: Any) -> None:
    page = visit()
    page.goto(f"/tracks/{TRACK}")
    figure = page.locator("figure[data-name=curves]")
    figure.scroll_into_view_if_needed()
    entry = next(item for item in client.get(f"/api/v1/leaderboards/{TRACK}").json()["items"] if item["rank"])
    group = figure.locator(f'g[data-name="{entry["title"]}"], g[data-name^="{entry["title"]},"]').first
    mark = group.locator(".mark").first
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 6, box["y"] + box["height"] / 2)
    tip = figure.locator(".tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text(f"% at {entry['seen_classes'][0]} classes seen")
    page.mouse.move(2, 2)
    expect(tip).to_be_hidden()


def test_values_are_read_by_keyboard(visit: Any, client: Any) -> None:
    page = visit()
    page.goto(f"/tracks/{TRACK}")
    figure = page.locator("figure[data-name=curves]")
    button = figure.get_by_role("toolbar").get_by_role("button").first
    name = button.inner_text().strip()
    board = client.get(f"/api/v1/leaderboards/{TRACK}").json()["items"]
    curve = next(item["curve"] for item in board if name.startswith(item["title"]))
    button.focus()
    for point in curve[:2]:
        page.keyboard.press("ArrowDown")
        expect(figure.locator(".tip")).to_contain_text(f"{100 * point['mean']:.1f}")
        expect(figure.get_by_role("status")).to_contain_text(f"{100 * point['mean']:.1f}")
    page.keyboard.press("Escape")
    expect(figure.locator(".tip")).to_be_hidden()


def test_columns_are_chosen_and_the_back_button_undoes_it(visit: Any) -> None:
    page = visit(java_script_enabled=False)
    page.goto(f"/tracks/{TRACK}?sort=forgetting")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Harmonic mean").check()
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


def pages_of(site: Any, client: Any, a_job: Any) -> dict[str, str]:
    board = client.get(f"/api/v1/leaderboards/{TRACK}").json()["items"]
    waiting = client.post("/api/v1/jobs", json=a_job("ewc", (1,))).json()
    chosen = "&".join(f"entry={entry['id']}" for entry in board[:3])
    run = board[0]["runs"][0]["run_id"]
    return {
        "home": "/",
        "leaderboard": f"/tracks/{TRACK}",
        "reported": "/tracks/cifar100-b0-inc10-m2000-resnet32",
        "compare": f"/compare?{chosen}",
        "ranks": f"/ranks?track={SMALLER}&track={TRACK}",
        "budgets": f"/budgets?track={SMALLER}&track={TRACK}",
        "run": f"/runs/{run}",
        "waiting run": f"/runs/{waiting['runs'][0]['id']}",
        "waiting job": f"/jobs/{waiting['id']}",
        "submit": "/submit",
        "methods": "/methods",
        "method": "/methods/icarl",
        "datasets": "/datasets",
        "literature": "/literature?second_hand=true",
        "workers": "/workers",
        "jobs": "/jobs",
        "choose entries": "/compare",
        "choose tracks": "/ranks",
        "dataset": "/datasets/digits",
        "reference": "/api",
        "problem types": "/problems",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_on_any_page(
    visit: Any, site: Any, client: Any, a_job: Any, scheme: str
) -> None:
    page = visit(color_scheme=scheme)
    found = {}
    for name, address in pages_of(site, client, a_job).items():
        assert page.goto(address).ok, name
        page.evaluate(AXE)
        violations = page.evaluate("axe.run().then(result => result.violations)")
        serious = [
            f"{one['id']}: {one['nodes'][0]['html'][:120]}"
            for one in violations
            if one["impact"] in {"serious", "critical"}
        ]
        if serious:
            found[name] = serious
    assert found == {}


def test_dark_is_dark_and_light_is_light(visit: Any) -> None:
    shades = []
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme)
        page.goto(f"/tracks/{TRACK}")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades.append(sum(int(part) for part in re.findall(r"\d+", colour)[:3]))
    assert shades[0] > 700
    assert shades[1] < 120


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_no_page_is_wider_than_its_window(visit: Any, site: Any, client: Any, a_job: Any, width: int) -> None:
    page = visit(viewport={"width": width, "height": 900})
    wide = {}
    for name, address in pages_of(site, client, a_job).items():
        assert page.goto(address).ok, name
        if (found := page.evaluate("document.documentElement.scrollWidth")) > width:
            wide[name] = found
    assert wide == {}


def test_everything_can_be_reached_by_keyboard(visit: Any) -> None:
    page = visit()
    page.goto(f"/tracks/{TRACK}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("""() => {
            const element = document.activeElement;
            return element.getAttribute("aria-label") || element.textContent;
        }""")
        reached.add(focused.strip()[:30])
    assert {"Compare the selected entries", "Methods"} <= reached
    assert any(name.startswith("Select Replay") for name in reached)
