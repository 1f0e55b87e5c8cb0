"""Choosing entries on the leaderboard and seeing them side by side, without scripts."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

BOARD = "digits-b0-inc2-m50-convnet"


def page(client, path, **parameters):
    answer = client.get(path, params=parameters or None, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), (
        answer.text
    )
    return answer.text


def chosen(client):
    """The values of the leaderboard's check boxes, by method."""
    boxes = re.findall(
        r'<input type="checkbox" name="entry" value="([^"]+)"\s+aria-label="Select (\S+)',
        page(client, f"/tracks/{BOARD}"),
    )
    return {title: entry for entry, title in boxes}


def drawn(picture):
    """The style class of each series by its name."""
    return {
        group.get("data-name").partition(",")[0]: group.get("class")
        for group in picture
        if group.get("data-name")
    }


def test_the_leaderboard_lets_entries_be_chosen_for_a_comparison(finished):
    text = page(finished, f"/tracks/{BOARD}")
    assert '<form action="/compare" method="get">' in text
    assert set(chosen(finished)) == {"Finetune", "Joint", "Replay", "iCaRL"}


def test_a_comparison_shows_differences_verdicts_matrices_and_recipes(finished):
    entries = chosen(finished)
    text = page(finished, "/compare", entry=[entries["Replay"], entries["iCaRL"], entries["Finetune"]])
    assert "1 seed in common: too few to test" in text
    assert len(re.findall(r'<table class="heat">', text)) == 3
    assert re.search(
        r'<th scope="row">name</th><td class="wrap">replay</td><td class="wrap">icarl</td>', text
    )
    answer = finished.get("/api/v1/compare", params={"entry": [entries["Replay"], entries["iCaRL"]]}).json()
    mean = answer["differences"][0]["tests"]["average_accuracy"]["mean"]
    assert f"{'+' if mean >= 0 else '−'}{100 * abs(mean):.2f}" in text
    assert text.count("<svg") >= 1


def test_an_entry_has_one_style_in_every_figure(finished):
    entries = chosen(finished)
    text = page(
        finished,
        "/compare",
        entry=[entries["iCaRL"], entries["Joint"], entries["Replay"], entries["Finetune"]],
    )
    expected = {"Finetune": "c0", "Replay": "c1", "iCaRL": "c2", "Joint": "bound"}
    pictures = [
        ET.fromstring(found) for found in re.findall(r'<svg[^>]* class="chart".+?</svg>', text, re.DOTALL)
    ]
    assert len(pictures) == 5
    for place, picture in enumerate(pictures):
        found = drawn(picture)
        assert found == {name: style for name, style in expected.items() if name in found}
        assert len(found) == (3 if place in {1, 2} else 4)  # differences leave out the baseline


def test_long_variants_are_shortened_unless_two_entries_would_share_a_name(client, service, a_job):
    first = {"batch_size": 64, "lr": 0.02, "momentum": 0.8, "weight_decay": 0.001}
    for later in ({}, {"lr": 0.01}):
        client.post("/api/v1/jobs", json=a_job("replay", preset="small", first_task=first, later_tasks=later))
    service.complete_all()
    board = page(client, f"/tracks/{BOARD}")
    assert "small, first_task.batch_size=64 and 3 more</abbr>" in board
    assert "small, first_task.batch_size=64 and 4 more</abbr>" in board
    changes = ", ".join(f"first_task.{name}={value}" for name, value in first.items())
    assert f'title="small, {changes}"' in board
    client.post(
        "/api/v1/jobs", json=a_job("replay", preset="small", first_task=first, later_tasks={"lr": 0.02})
    )
    service.complete_all()
    entries = [item["id"] for item in client.get(f"/api/v1/leaderboards/{BOARD}").json()["items"]]
    names = re.search(r"<span>Baseline:\s(.+?)</span>", page(client, "/compare", entry=entries), re.DOTALL)[1]
    assert "Replay, small, first_task.batch_size=64 and 3 more<" in names
    assert "later_tasks.lr=0.01<" in names
    assert "later_tasks.lr=0.02<" in names


def test_each_entry_has_a_link_that_makes_it_the_baseline(finished):
    entries = chosen(finished)
    text = page(finished, "/compare", entry=[entries["Replay"], entries["iCaRL"]])
    link = f"/compare?entry={entries['Replay']}&amp;entry={entries['iCaRL']}&amp;baseline={entries['iCaRL']}"
    assert link in text
    assert f'{link}" aria-current' in page(finished, link.replace("&amp;", "&"))


def test_one_entry_alone_is_answered_with_a_page(finished):
    answer = finished.get(
        "/compare", params={"entry": chosen(finished)["Replay"]}, headers={"Accept": "text/html"}
    )
    assert answer.status_code == 422
    assert "2 to 8 different entries" in answer.text
    assert "text/html" in answer.headers["content-type"]


def test_a_comparison_without_entries_explains_how_to_choose(finished, client):
    text = page(finished, "/compare")
    assert "select 2 to 8 of its entries" in text
    assert f'href="/tracks/{BOARD}#entries"' in text
    assert "No track has results yet" in page(client, "/compare")
