"""Replays: a finished run is executed again to check that it reproduces its results."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from store.database.models import Run
from store.runs.replays import TOLERANCE

BOARD = "/api/v1/leaderboards/digits-b0-inc2-m50-convnet"


@pytest.fixture
def run_id(client, service, a_job) -> str:
    """A run that succeeded."""
    made = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()
    service.complete_all()
    return made["runs"][0]["id"]


def replay(client, run_id: str, **headers: str):
    return client.post(f"/api/v1/runs/{run_id}/replay", headers=headers)


def test_an_agreeing_replay_marks_the_entry_and_is_not_counted(client, service, run_id):
    assert client.get(BOARD).json()["items"][0]["trust"] == "verified"
    accepted = replay(client, run_id)
    assert (accepted.status_code, accepted.json()["name"]) == (202, f"Replay of {run_id}")
    again = accepted.json()["runs"][0]["id"]
    pending = client.get(f"/api/v1/runs/{run_id}").json()["replays"]
    assert pending == [{"run": again, "agrees": None, "bitwise": None, "largest_difference": None}]
    service.complete_all()
    (entry,) = client.get(BOARD).json()["items"]
    assert (entry["trust"], [run["run_id"] for run in entry["runs"]], entry["runs"][0]["replayed"]) == (
        "replayed",
        [run_id],
        True,
    )
    assert client.get(f"/api/v1/runs/{run_id}").json()["replays"] == [
        {"run": again, "agrees": True, "bitwise": True, "largest_difference": 0.0}
    ]
    assert client.get(f"/api/v1/runs/{again}").json()["replay_of"] == run_id


def test_a_replay_of_a_replay_repeats_the_original_and_neither_is_reused(client, service, run_id, a_job):
    first = replay(client, run_id).json()["runs"][0]["id"]
    service.complete_all()
    second = replay(client, first).json()["runs"][0]["id"]
    service.complete_all()
    assert client.get(f"/api/v1/runs/{second}").json()["replay_of"] == run_id
    assert [run["id"] for run in client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"]] == [
        run_id
    ]


@pytest.mark.parametrize(
    ("off", "environment", "agrees"),
    [
        (1, {}, False),
        (1, {"compiled": False}, False),
        (1, {"compiled": True}, True),
        (1, {"device_name": "another"}, True),
        (30, {"device_name": "another"}, False),
    ],
)
def test_another_device_may_differ_within_the_tolerance_and_the_same_one_never(
    client, service, run_id, off, environment, agrees
):
    replay(client, run_id)
    service.complete(service.claim(), off, environment)
    (verdict,) = client.get(f"/api/v1/runs/{run_id}").json()["replays"]
    assert (verdict["agrees"], verdict["bitwise"]) == (agrees, False)
    assert (0 < verdict["largest_difference"] <= TOLERANCE) == (off == 1)
    assert client.get(BOARD).json()["items"][0]["trust"] == ("replayed" if agrees else "verified")
    assert client.get(BOARD).json()["items"][0]["runs"][0]["replayed"] is agrees


def test_an_unsuccessful_run_cannot_be_replayed(client, service, a_job):
    waiting = client.post("/api/v1/jobs", json=a_job(seeds=(7,))).json()["runs"][0]["id"]
    answer = replay(client, waiting)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-replayable")
    assert "is queued; only a run that succeeded" in answer.json()["detail"]
    assert replay(client, "run_" + "0" * 26).status_code == 404


def test_a_run_of_another_engine_version_cannot_be_replayed(client, service, a_job):
    made = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"][0]["id"]
    with service.database.transaction() as session:
        session.execute(update(Run).values(engine_version="0"))
    service.complete(service.claim(), engine_version="0")
    assert "engine version 0 made " in replay(client, made).json()["detail"]


def test_the_same_key_replays_once(client, run_id):
    first, again = (replay(client, run_id, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert len(client.get(f"/api/v1/runs/{run_id}").json()["replays"]) == 1
