"""What a submission does, and what it is refused for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from api.examples import JOBS
from cil_core.spec.catalog import DATASETS
from store.access.quotas import take_turn
from store.datasets import register_dataset

TRACK = {
    "dataset": "digits",
    "protocol": {"first": 2, "increment": 2},
    "memory": {"kind": "total", "amount": 50},
    "backbone": "convnet",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good job with the value at `path` changed."""
    body: dict[str, Any] = {
        "method": {"name": "icarl", "preset": "small"},
        "track": json.loads(json.dumps(TRACK)),
        "seeds": [1, 2],
    }
    *parents, last = path.split("/")
    at = body
    for parent in parents:
        at = at.setdefault(parent, {})
    at[last] = value
    return body


BAD = {
    "unknown method": (changed("method/name", "icarll"), "/method/name", "finetune, "),
    "no method name": (changed("method", {}), "/method/name", "known: "),
    "method as text": (changed("method", "icarl"), "/method", "a JSON object is required"),
    "unknown preset": (changed("method/preset", "huge"), "/method/preset", "'paper', 'small'"),
    "unknown field": (changed("sedes", [1]), "/sedes", "known: method, name, seeds, track"),
    "unknown field of a method": (changed("method/temprature", 2), "/method/temprature", "temperature"),
    "unknown field of a schedule": (
        changed("method/first_task", {"epochs": 2, "lrr": 1}),
        "/method/first_task/lrr",
        "batch_size, curve",
    ),
    "unknown field of a track": (
        changed("track/protocol/incremen", 2),
        "/track/protocol/incremen",
        "class_order, first, increment",
    ),
    "a field that needs escaping": (changed("a~b", 1), "/a~0b", "unknown field"),
    "unknown dataset": (changed("track/dataset", "letters"), "/track/dataset", "cifar10, cifar100, "),
    "unknown backbone": (changed("track/backbone", "vgg"), "/track/backbone", "convnet, "),
    "a first task that does not fit": (
        changed("track/protocol/first", 11),
        "/track/protocol/first",
        "digits has 10",
    ),
    "an increment that does not fit": (
        changed("track/protocol/increment", 9),
        "/track/protocol/increment",
        "8 left",
    ),
    "a class twice": (changed("track/protocol/class_order", [0, 0]), "/track/protocol/class_order", "once"),
    "seeds repeated": (changed("seeds", [7, 8, 7]), "/seeds", "repeated: 7"),
    "no seeds": (changed("seeds", []), "/seeds", "at least 1"),
    "too many seeds": (changed("seeds", list(range(21))), "/seeds", "20 at most"),
    "a negative seed": (changed("seeds", [1, -1]), "/seeds/1", "greater than or equal to 0"),
    "too small a memory": (
        changed("track/memory/amount", 9),
        "/track/memory/amount",
        "each of the 10 classes",
    ),
    "a memory of no kind": (changed("track/memory/kind", "lots"), "/track/memory/kind", "'per_class'"),
    "no memory amount": (changed("track/memory", {"kind": "total"}), "/track/memory", "at least 1"),
    "too many epochs": (
        changed("method/later_tasks", {"epochs": 10_000}),
        "/method/later_tasks/epochs",
        "1000 at most",
    ),
    "milestones out of order": (
        changed("method/first_task", {"epochs": 9, "milestones": [5, 3]}),
        "/method/first_task/milestones",
        "rise strictly",
    ),
    "a missing field": (changed("track/protocol", {"first": 2}), "/track/protocol/increment", "required"),
    "a slug of no form": (changed("track", "digits"), "/track", "such as"),
    "a slug that names an impossible track": (
        changed("track", "digits-b0-inc1-m50-convnet"),
        "/track",
        "protocol.first: ",
    ),
    "no object": ([], "", "a JSON object is required"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_a_pointer_and_what_is_allowed(refusing, name):
    service, client = refusing
    body, pointer, said = BAD[name]
    answer = client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-body"
    assert problem["errors"][0]["pointer"] == pointer
    assert said in problem["errors"][0]["detail"]
    assert service.written() == {"jobs": 0, "runs": 0, "tracks": 0}


TEXTS = {
    "NaN": ('"temperature": NaN', 422, "/method/temperature", "finite"),
    "infinity": ('"temperature": 1e999', 422, "/method/temperature", "finite"),
    "a huge number": ('"temperature": 1e300', 422, "/method/temperature", "less than or equal to 100"),
    "a huge integer": ('"temperature": ' + "9" * 5000, 422, "/method/temperature", "finite"),
    "a key twice": ('"loss": "ce", "loss": "bce"', 400, "", "'loss' stands twice"),
    "U+0000": ('"loss": "a\\u0000b"', 400, "/method/loss", "U+0000"),
    "half a surrogate pair": ('"loss": "\\ud800"', 400, "/method/loss", "surrogate"),
    "deep nesting": ('"loss": ' + "[" * 20 + "]" * 20, 400, None, "16 levels"),
    "very deep nesting": ('"loss": ' + "[" * 30_000 + "]" * 30_000, 400, None, "16 levels"),
    "broken JSON": ('"loss": ', 400, "", "Expecting value"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_not_strict_json_is_refused(refusing, name):
    service, client = refusing
    text, status, pointer, said = TEXTS[name]
    body = '{"track": "digits-b0-inc2-m50-convnet", "seeds": [1], "method": {"name": "icarl", ' + text + "}}"
    answer = client.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    (fault,) = answer.json()["errors"]
    assert pointer is None or fault["pointer"] == pointer
    assert said in fault["detail"]
    assert service.written()["jobs"] == 0


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        (None, 415),
        ("application/json; charset=utf-8", 202),
    ],
)
def test_only_json_is_read(client, a_job, content_type, status):
    headers = {"Content-Type": content_type} if content_type else {}
    assert (
        client.post("/api/v1/jobs", content=json.dumps(a_job()).encode(), headers=headers).status_code
        == status
    )


def test_an_empty_body_is_refused(refusing):
    _, client = refusing
    answer = client.post("/api/v1/jobs", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"pointer": "", "detail": "a JSON object is required"}],
    )


def test_a_body_over_the_limit_is_refused(refusing):
    service, client = refusing
    answer = client.post(
        "/api/v1/jobs",
        content=b'{"a": "' + b"x" * 64 * 1024 + b'"}',
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-too-large")
    assert "65536" in answer.json()["detail"]
    assert service.written()["jobs"] == 0


def test_a_body_that_hides_its_length_is_stopped_at_the_limit(refusing):
    _, client = refusing
    answer = client.post(
        "/api/v1/jobs",
        content=(b" " * 1000 for _ in range(100)),
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-too-large")


def test_unknown_query_parameters_are_refused_and_nothing_is_written(refusing, a_job):
    service, client = refusing
    answer = client.post("/api/v1/jobs?forse=true", json=a_job())
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"parameter": "forse", "detail": "unknown query parameter; known: force"}
    ]
    assert service.written()["jobs"] == 0


def test_a_job_is_accepted_with_its_place_and_its_runs(client, a_job):
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


def test_later_jobs_stand_behind_in_the_queue(client, a_job):
    client.post("/api/v1/jobs", json=a_job("icarl", (1, 2)))
    assert client.post("/api/v1/jobs", json=a_job("lwf", (1,))).json()["queue_position"] == 2


def test_a_finished_spec_is_answered_at_once_from_its_results(client, service, a_job):
    first = client.post("/api/v1/jobs", json=a_job()).json()
    assert service.complete_all() == 3
    answer = client.post("/api/v1/jobs", json=a_job())
    assert (answer.status_code, answer.json()["reused"], answer.json()["state"]) == (200, True, "succeeded")
    assert [run["id"] for run in answer.json()["runs"]] == [run["id"] for run in first["runs"]]
    assert all(run["average_accuracy"] > 0.5 for run in answer.json()["runs"])
    assert service.complete_all() == 0


def test_a_finished_job_does_not_call_itself_reused(client, service, a_job):
    location = client.post("/api/v1/jobs", json=a_job()).headers["Location"]
    service.complete_all()
    assert client.get(location).json()["reused"] is False


def test_force_executes_anew(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job())
    service.complete_all()
    answer = client.post("/api/v1/jobs?force=true", json=a_job())
    assert (answer.status_code, answer.json()["reused"], answer.json()["forced"]) == (202, False, True)
    assert service.complete_all() == 3


def test_defaults_and_presets_are_spelled_out(client, a_job):
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


def test_more_waiting_runs_than_allowed_are_refused(service_of, client_of, a_job):
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


def test_the_limit_of_waiting_runs_holds_for_parallel_submissions(service_of, serve, a_job):
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


def test_submissions_that_wait_for_a_lock_keep_no_reader_waiting(served, service, a_job):
    async def submit_and_read() -> tuple[int, bool, set[int]]:
        async with served.async_client() as client:
            with service.database.transaction() as session:
                take_turn(
                    session, service.user
                )  # which every submission of this user needs; on SQLite it is the one writer
                submissions = [
                    asyncio.create_task(client.post("/api/v1/jobs", json=a_job(seeds=(seed,)), timeout=120))
                    for seed in range(60)
                ]
                await asyncio.sleep(2)
                read = await client.get("/api/v1/jobs", timeout=20)
                waited = not any(submission.done() for submission in submissions)
            return (
                read.status_code,
                waited,
                {answer.status_code for answer in await asyncio.gather(*submissions)},
            )

    assert asyncio.run(submit_and_read()) == (200, True, {202})
