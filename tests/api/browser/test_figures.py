"""Figures: interactive with scripts, pictures without; pointer, legend and keyboard."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.api.browser.settings import MARKS, TRACK

pytestmark = MARKS


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
