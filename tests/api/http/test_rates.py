"""Rate limits: per token and address, shared through a real Redis, or per process without it."""

from __future__ import annotations

import pytest

from api.http.rates import Rates

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_writes_per_token_are_limited_and_headers_report_the_rest(service_of, client_of, a_job):
    with client_of(service_of(writes_per_minute=3)) as client:
        answers = [client.post("/api/v1/jobs", json=a_job(seeds=(seed,))) for seed in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        refused = answers[-1]
        assert refused.json()["type"] == "/problems/too-many-requests"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert client.get("/api/v1/jobs").status_code == 200


def test_invalid_tokens_are_limited_per_address_and_valid_ones_are_not(service_of, client_of, a_job):
    service = service_of(failures_per_minute=2)
    with client_of(service) as client:
        guesses = [
            client.post(
                "/api/v1/jobs", json=a_job(), headers={"Authorization": f"Bearer cil_{guess:072x}"}
            ).status_code
            for guess in range(3)
        ]
        assert guesses == [401, 401, 429]
        assert client.post("/api/v1/jobs", json=a_job()).status_code == 202


def test_processes_share_their_count_through_redis(database_url, redis_url):
    one, other = Rates(redis_url), Rates(redis_url)
    assert [rates.hit("writes", "token", 3).remaining for rates in (one, other, one)] == [2, 1, 0]
    assert not other.hit("writes", "token", 3).allowed
    assert other.hit("writes", "another token", 3).allowed


def test_without_redis_each_process_counts_alone_and_logs_it_once(database_url, caplog):
    rates = Rates("redis://127.0.0.1:1/0")
    assert [rates.hit("writes", "token", 2).allowed for _ in range(3)] == [True, True, False]
    assert caplog.text.count("this process counts rates alone") == 1
