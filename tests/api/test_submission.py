"""Submitting a job: its runs, its place in the queue, reuse of results, quotas and concurrency."""

from __future__ import annotations

import asyncio

import pytest

from api.examples import JOBS
from cil_core.spec.catalog import DATASETS
from store.access.quotas import serialise_submissions
from store.datasets import register_dataset

TRACK = "digits-b0-inc2-m50-convnet"


def test_a_job_is_accepted_with_its_queue_position_and_runs(client, a_job):
    answer = client.post("/api/v1/jobs", json=a_job("icarl", (3, 1)) | {"name": "mine"})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["state"], job["name"], job["queue_position"], job["reused"]) == ("queued", "mine", 0, False)
    assert [(run["seed"], run["state"], run["reused"]) for run in job["runs"]] == [
        (3, "queued", False),
        (1, "queued", False),
    ]
    assert client.get(answer.headers["Location"]).json() == job


def test_later_jobs_queue_behind_earlier_ones(client, a_job):
    client.post("/api/v1/jobs", json=a_job("icarl", (1, 2)))
    assert client.post("/api/v1/jobs", json=a_job("lwf", (1,))).json()["queue_position"] == 2


def test_a_finished_spec_is_answered_from_its_results(client, service, a_job):
    first = client.post("/api/v1/jobs", json=a_job()).json()
    assert service.complete_all() == 3
    answer = client.post("/api/v1/jobs", json=a_job())
    assert (answer.status_code, answer.json()["reused"], answer.json()["state"]) == (200, True, "succeeded")
    assert [run["id"] for run in answer.json()["runs"]] == [run["id"] for run in first["runs"]]
    assert all(run["average_accuracy"] > 0.5 for run in answer.json()["runs"])
    assert service.complete_all() == 0


def test_a_finished_job_is_not_reused(client, service, a_job):
    location = client.post("/api/v1/jobs", json=a_job()).headers["Location"]
    service.complete_all()
    assert client.get(location).json()["reused"] is False


def test_force_executes_finished_runs_again(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job())
    service.complete_all()
    answer = client.post("/api/v1/jobs?force=true", json=a_job())
    assert (answer.status_code, answer.json()["reused"], answer.json()["forced"]) == (202, False, True)
    assert service.complete_all() == 3


def test_a_spec_includes_defaults_and_preset_values(client, a_job):
    spec = client.post("/api/v1/jobs", json=a_job("icarl", preset="paper")).json()["spec"]
    assert (
        spec["method"]["loss"],
        spec["method"]["first_task"]["lr"],
        spec["track"]["protocol"]["class_order"],
    ) == ("bce", 2.0, 1993)
    assert "preset" not in spec["method"]


def test_a_registered_folder_is_a_dataset(client, service, a_job):
    card = DATASETS["digits"].model_copy(update={"name": "folder:birds", "fingerprint": "b" * 64})
    body = a_job(track="folder:birds-b0-inc2-m50-convnet")
    refused = client.post("/api/v1/jobs", json=body)
    assert refused.json()["errors"][0]["pointer"] == "/track/dataset"
    with service.database.transaction() as session:
        register_dataset(session, card, "b" * 64)
    accepted = client.post("/api/v1/jobs", json=body).json()
    assert client.get(f"/api/v1/runs/{accepted['runs'][0]['id']}").json()["dataset_fingerprint"] == "b" * 64


def test_the_epoch_limit_is_a_setting(service_of, client_of, a_job):
    with client_of(service_of(max_epochs=19)) as client:
        answer = client.post("/api/v1/jobs", json=a_job("replay", preset="small"))
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/method/first_task/epochs"]
    assert "20 epochs were given; a schedule may have 19 at most" in answer.json()["detail"]


def test_runs_beyond_the_quota_are_refused(service_of, client_of, a_job):
    service = service_of(max_queued_runs=4)
    with client_of(service) as client:
        assert client.post("/api/v1/jobs", json=a_job("replay")).status_code == 202
        answer = client.post("/api/v1/jobs", json=a_job("lwf"))
        assert (answer.status_code, answer.json()["type"]) == (429, "/problems/too-many-runs")
        assert "Retry-After" in answer.headers
        assert service.written()["runs"] == 3
        service.complete_all()
        assert client.post("/api/v1/jobs", json=a_job("lwf")).status_code == 202


@pytest.mark.parametrize("name", JOBS)
def test_the_documented_examples_are_accepted(client, name):
    assert client.post("/api/v1/jobs", json=JOBS[name]["value"]).status_code == 202


def test_the_quota_holds_for_parallel_submissions(service_of, serve, a_job):
    service = service_of(max_queued_runs=4)

    async def post_all(served) -> list[int]:
        async with served.async_client() as client:
            answers = await asyncio.gather(
                *(client.post("/api/v1/jobs", json=a_job(seeds=(seed,))) for seed in range(12))
            )
        return [answer.status_code for answer in answers]

    with serve(service) as served:
        statuses = asyncio.run(post_all(served))
    assert sorted(statuses) == [202] * 4 + [429] * 8
    assert service.written()["runs"] == 4


SENDERS = {
    "JSON": lambda client, seed: client.post(
        "/api/v1/jobs", json={"method": {"name": "replay"}, "track": TRACK, "seeds": [seed]}, timeout=120
    ),
    "form": lambda client, seed: client.post(
        "/submit",
        data={
            "method": "replay",
            "track": TRACK,
            "seeds": seed,
            "action": "submit",
            "token": token_of(client),
        },
        timeout=120,
    ),
}


def token_of(client) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("sender", SENDERS)
def test_submissions_that_wait_for_a_lock_do_not_delay_readers(served, service, sender):
    send = SENDERS[sender]

    async def submit_and_read() -> tuple[int, bool, set[int]]:
        async with served.async_client() as client:
            with service.database.transaction() as session:
                serialise_submissions(session, service.user)  # every submission of this user needs this lock
                submissions = [asyncio.create_task(send(client, seed)) for seed in range(60)]
                await asyncio.sleep(2)
                read = await client.get("/api/v1/jobs", timeout=20)
                waited = not any(submission.done() for submission in submissions)
            answers = await asyncio.gather(*submissions)
            return read.status_code, waited, {answer.status_code for answer in answers}

    accepted = {"JSON": 202, "form": 303}[sender]
    assert asyncio.run(submit_and_read()) == (200, True, {accepted})
