"""Presets, suites, orders and budgets over HTTP."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from cil_core.spec.presets import PRESETS
from cil_core.spec.suites import SUITES
from store.database.models import Summary

TRACK = "digits-b0-inc2-m50-convnet"


def test_preset_tracks_are_listed_after_those_in_use(finished):
    items = finished.get("/api/v1/tracks").json()["items"]
    used = [track for track in items if track["runs"]]
    assert items[: len(used)] == used
    assert {track["slug"] for track in items} >= set(PRESETS)
    survey = next(track for track in items if track["slug"] == "cifar100-b0-inc10-m2000-resnet32")
    assert (survey["title"], survey["entries"], survey["for_tuning"]) == ("CIFAR-100 B0-Inc10", 0, False)
    assert "Survey" in survey["source"]


def test_suites_are_listed_with_their_tracks_recipes_and_seeds(finished):
    items = {suite["name"]: suite for suite in finished.get("/api/v1/suites").json()["items"]}
    assert items.keys() == SUITES.keys()
    assert items["digits-quick"]["runs"] == 3 * len(items["digits-quick"]["recipes"])


@pytest.fixture
def over_budgets(service_of, client_of, a_job):
    """iCaRL under two budgets, replay on a track for tuning."""
    service = service_of()
    with client_of(service) as client:
        for method, track in (
            ("icarl", TRACK),
            ("icarl", "digits-b0-inc2-m100-convnet"),
            ("icarl", f"{TRACK}-order7"),
            ("replay", f"{TRACK}-holdout20"),
        ):
            assert client.post("/api/v1/jobs", json=a_job(method, track=track)).status_code == 202
        service.complete_all()
        yield client


def test_methods_over_budgets_have_areas_or_a_reason(over_budgets):
    answer = over_budgets.get(
        "/api/v1/compare/budgets", params={"track": [TRACK, "digits-b0-inc2-m100-convnet"]}
    )
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
        422,
        "not-comparable",
    )  # told runs keep equally much
    assert "entries of different memory" in answer.json()["detail"]
    assert over_budgets.get("/api/v1/compare/budgets", params={"track": [TRACK, "nope"]}).status_code == 404


def test_accuracy_over_memory_is_a_page(over_budgets, database):
    with database.transaction() as session:
        session.execute(
            update(Summary)
            .where(Summary.track_slug == "digits-b0-inc2-m100-convnet")
            .values(counted_bytes=2**20)
        )
    assert "accuracy over memory" in over_budgets.get(f"/tracks/{TRACK}").text
    page = over_budgets.get(
        "/budgets", params={"track": [TRACK, "digits-b0-inc2-m100-convnet"]}, headers={"Accept": "text/html"}
    )
    assert page.status_code == 200
    (curve,) = over_budgets.get(
        "/api/v1/compare/budgets", params={"track": [TRACK, "digits-b0-inc2-m100-convnet"]}
    ).json()["curves"]
    cells = f"<td>{curve['auc_average']:.4g}</td>\n<td>{curve['auc_last']:.4g}</td>"
    assert cells in page.text
    assert "megabytes" in page.text


def test_recipes_over_orders(over_budgets):
    assert "Std over orders" in over_budgets.get(f"/tracks/{TRACK}").text
    (found,) = over_budgets.get(f"/api/v1/tracks/{TRACK}/orders").json()["items"]
    assert found["tracks"] == [TRACK, f"{TRACK}-order7"]
    assert found["std_over_orders"] == 0
    assert over_budgets.get("/api/v1/tracks/nope/orders").status_code == 404
    assert over_budgets.get("/api/v1/tracks/cifar100-b0-inc10-m2000-resnet32/orders").json()["items"] == []


def test_a_tuning_track_has_neither_ranks_nor_a_card_nor_a_listing(over_budgets):
    slug = f"{TRACK}-holdout20"
    assert [entry["rank"] for entry in over_budgets.get(f"/api/v1/leaderboards/{slug}").json()["items"]] == [
        None
    ]
    assert f'<h2><a href="/tracks/{slug}">' not in over_budgets.get("/").text
    assert f'<h2><a href="/tracks/{TRACK}">' in over_budgets.get("/").text
    assert "This track is for tuning" in over_budgets.get(f"/tracks/{slug}").text
    answer = over_budgets.get("/api/v1/compare/tracks", params={"track": [TRACK, slug]})
    assert answer.status_code == 422
    assert "held-out" in answer.json()["detail"]
    assert over_budgets.get("/api/v1/compare/tracks", params={"track": [TRACK, "nope"]}).status_code == 404
