"""Comparisons over HTTP."""

from __future__ import annotations

import pytest

BOARD = "/api/v1/leaderboards/digits-b0-inc2-m50-convnet"
OTHER = "digits-b4-inc3-m50-convnet"


@pytest.fixture
def entries(finished):
    """Ids by method."""
    return {entry["method"]: entry["id"] for entry in finished.get(BOARD).json()["items"]}


def compared(client, *ids, **parameters):
    answer = client.get("/api/v1/compare", params={"entry": list(ids), **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_entries_are_compared_with_a_baseline_over_shared_seeds(finished, entries):
    answer = compared(finished, entries["replay"], entries["icarl"], entries["finetune"])
    assert answer["baseline"] == entries["replay"]
    assert [item["method"] for item in answer["items"]] == ["replay", "icarl", "finetune"]
    icarl, finetune = answer["differences"]
    runs = {
        item["method"]: {run["seed"]: run["average_accuracy"] for run in item["runs"]}
        for item in answer["items"]
    }
    test = icarl["tests"]["average_accuracy"]
    assert test["seeds"] == [1, 2, 3]
    assert test["differences"] == pytest.approx(
        [runs["icarl"][seed] - runs["replay"][seed] for seed in (1, 2, 3)]
    )
    assert test["t_p_holm"] is not None
    assert finetune["tests"]["last_accuracy"]["seeds"] == [1]
    assert finetune["tests"]["last_accuracy"]["t_p"] is None


def test_the_baseline_is_a_parameter(finished, entries):
    answer = compared(finished, entries["replay"], entries["icarl"], baseline=entries["icarl"])
    (difference,) = answer["differences"]
    assert difference["entry"] == entries["replay"]


def test_matrices_are_means_over_seeds_and_determine_curve_and_forgetting(finished, entries):
    answer = compared(finished, entries["replay"], entries["icarl"])
    matrix, entry = answer["matrices"][0], answer["items"][0]
    rows = matrix["accuracy"]
    assert [len(row) for row in rows] == [1, 2, 3, 4, 5]
    assert len(matrix["forgetting"]) == 4
    assert sum(matrix["forgetting"]) / 4 == pytest.approx(entry["metrics"]["forgetting"]["mean"])
    assert rows[0][0] == pytest.approx(entry["curve"][0]["mean"])


def test_only_differences_between_recipes_are_listed(finished, entries):
    differences = compared(finished, entries["replay"], entries["icarl"])["recipe_differences"]
    assert differences["name"] == ["replay", "icarl"]
    assert differences["loss"] == [None, "ce"] or differences["loss"][0] is None
    assert not [name for name in differences if name.startswith("first_task")]


def test_only_differing_fields_of_schedules_are_listed(client, service, a_job):
    for changes in ({}, {"later_tasks": {"lr": 0.025}}):
        client.post("/api/v1/jobs", json=a_job("replay", preset="small", **changes))
    service.complete_all()
    one, other = client.get("/api/v1/leaderboards/digits-b0-inc2-m50-convnet").json()["items"]
    expected = [item["recipe"]["later_tasks"]["lr"] for item in (one, other)]
    assert sorted(expected) == [0.025, 0.05]
    assert compared(client, one["id"], other["id"])["recipe_differences"] == {"later_tasks.lr": expected}


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (lambda ids: {"entry": [ids["replay"]]}, 422, "2 to 8 different entries"),
        (lambda ids: {"entry": [ids["replay"]] * 2}, 422, "2 to 8 different entries"),
        (lambda ids: {"entry": [ids["replay"], "entry_nope"]}, 404, "no finished run of entry_nope"),
        (
            lambda ids: {"entry": [ids["replay"], ids["icarl"]], "baseline": ids["finetune"]},
            422,
            "is not among the entries",
        ),
        (
            lambda ids: {"entry": [ids["replay"], ids["finetune"]], "classifier": "boosted"},
            404,
            "under the classifier 'boosted'",
        ),
        (lambda ids: {"entry": [ids["replay"], ids["icarl"]], "classifier": "nearest"}, 422, "allowed"),
        (lambda ids: {}, 422, "entry"),
        (
            lambda ids: {"entry": [ids["replay"], ids["icarl"]], "entries": "x"},
            422,
            "unknown query parameter",
        ),
    ],
)
def test_incomparable_entries_are_refused_with_the_reason(finished, entries, change, status, said):
    answer = finished.get("/api/v1/compare", params=change(entries))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.text


def test_methods_are_ranked_over_tracks_and_excluded_ones_named(client, service, a_job):
    for track in ("digits-b0-inc2-m50-convnet", OTHER):
        for method in ("replay", "icarl", "wa"):
            assert client.post("/api/v1/jobs", json=a_job(method, track=track)).status_code == 202
    client.post("/api/v1/jobs", json=a_job("lwf"))
    service.complete_all()
    answer = client.get(
        "/api/v1/compare/tracks", params={"track": ["digits-b0-inc2-m50-convnet", OTHER]}
    ).json()
    assert answer["left_out"] == ["LwF"]
    assert sorted(answer["ranking"]["names"]) == ["Replay", "WA", "iCaRL"]
    assert sum(answer["ranking"]["average_ranks"]) == pytest.approx(6)
    assert answer["ranking"]["critical_difference"] == pytest.approx(
        2.343 * (3 * 4 / (6 * 2)) ** 0.5, abs=2e-3
    )
    assert set(answer["scores"]) == {"Replay", "WA", "iCaRL"}


def test_ranks_over_one_track_are_refused(finished):
    answer = finished.get("/api/v1/compare/tracks", params={"track": ["digits-b0-inc2-m50-convnet"]})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-comparable")


def test_entries_of_different_tracks_are_refused(client, service, a_job):
    for track in ("digits-b0-inc2-m50-convnet", OTHER):
        client.post("/api/v1/jobs", json=a_job("finetune", seeds=(1,), track=track))
    service.complete_all()
    ids = [
        client.get(f"/api/v1/leaderboards/{slug}").json()["items"][0]["id"]
        for slug in ("digits-b0-inc2-m50-convnet", OTHER)
    ]
    answer = client.get("/api/v1/compare", params={"entry": ids})
    assert answer.status_code == 422
    assert "different tracks" in answer.json()["detail"]
