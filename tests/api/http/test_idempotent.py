"""A request sent twice with one key has one effect."""

from __future__ import annotations

import asyncio

import pytest

KEY = {"Idempotency-Key": "9a1f-once"}


def test_the_same_key_and_body_get_the_same_job(client, service, a_job):
    first = client.post("/api/v1/jobs", json=a_job(), headers=KEY)
    again = client.post("/api/v1/jobs", json=a_job(), headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert [answer.headers["Idempotency-Replayed"] for answer in (first, again)] == ["false", "true"]
    assert service.written()["jobs"] == 1


def test_the_same_request_spelled_differently_is_the_same(client, a_job):
    first = client.post("/api/v1/jobs", json=a_job("icarl"), headers=KEY).json()
    spelled_out = {"seeds": [1, 2, 3], "track": first["spec"]["track"], "method": first["spec"]["method"]}
    assert client.post("/api/v1/jobs", json=spelled_out, headers=KEY).json()["id"] == first["id"]


def test_the_same_key_with_another_body_is_refused(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job(), headers=KEY)
    for other in ("/api/v1/jobs", "/api/v1/jobs?force=true"):
        answer = client.post(other, json=a_job(seeds=(9,)), headers=KEY)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
        assert answer.json()["errors"][0]["header"] == "Idempotency-Key"
    assert service.written()["jobs"] == 1


def test_keys_of_different_users_are_independent(client, service, a_job):
    _, other = service.add_user("grace")
    mine = client.post("/api/v1/jobs", json=a_job(), headers=KEY).json()
    hers = client.post(
        "/api/v1/jobs", json=a_job(), headers=KEY | {"Authorization": f"Bearer {other}"}
    ).json()
    assert mine["id"] != hers["id"]


def test_a_refused_request_leaves_its_key_free(client, a_job):
    assert client.post("/api/v1/jobs", json=a_job(seeds=()), headers=KEY).status_code == 422
    assert client.post("/api/v1/jobs", json=a_job(), headers=KEY).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "with space"])
def test_an_invalid_key_is_refused(client, service, a_job, key):
    answer = client.post("/api/v1/jobs", json=a_job(), headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (422, "Idempotency-Key")
    assert service.written()["jobs"] == 0


def test_a_hundred_parallel_posts_with_one_key_make_one_job(served, service, a_job):
    async def post_all() -> list[tuple[int, str]]:
        async with served.async_client() as client:
            answers = await asyncio.gather(
                *(client.post("/api/v1/jobs", json=a_job(), headers=KEY) for _ in range(100))
            )
        return [(answer.status_code, answer.json()["id"]) for answer in answers]

    answers = asyncio.run(post_all())
    assert {status for status, _ in answers} == {202}
    assert len({job_id for _, job_id in answers}) == 1
    assert service.written() == {"jobs": 1, "runs": 3, "tracks": 1}


def test_parallel_posts_of_one_spec_without_a_key_share_its_runs(served, service, a_job):
    async def post_all() -> set[int]:
        async with served.async_client() as client:
            return {
                answer.status_code
                for answer in await asyncio.gather(
                    *(client.post("/api/v1/jobs", json=a_job()) for _ in range(20))
                )
            }

    assert asyncio.run(post_all()) == {202}
    assert service.written() == {"jobs": 20, "runs": 3, "tracks": 1}
