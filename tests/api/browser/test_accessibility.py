"""Every page: axe, colour schemes, window widths and the keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.api.browser.settings import MARKS, SMALLER, TRACK

AXE = (Path(__file__).parent / "axe.min.js").read_text()

pytestmark = MARKS


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
