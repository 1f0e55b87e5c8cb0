"""Headers of every response, request logs, and unexpected errors."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import text

PATHS = [
    "/",
    "/api/v1/jobs",
    "/api/v1/nothing",
    "/static/site.css",
    "/static/../main.py",
    "/livez",
    "/problems/invalid-body",
    "/api/v1/openapi.json",
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_answer_carries_the_security_headers(client):
    for path in PATHS:
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Request-ID" in headers


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_harmless_request_id_is_kept(client):
    assert client.get("/livez", headers={"X-Request-ID": "abc-1.2_3"}).headers["X-Request-ID"] == "abc-1.2_3"
    for evil in ("a b", "<script>", "x" * 65):
        assert client.get("/livez", headers={"X-Request-ID": evil}).headers["X-Request-ID"] != evil


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_internal_error_reveals_only_its_id_and_is_logged(client, service, a_job, caplog):
    location = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).headers["Location"]
    with service.database.transaction() as session:
        session.execute(text("UPDATE job_runs SET run_id = run_id, position = 'not a number'"))
        session.execute(text("UPDATE runs SET created_at = 'not a moment'"))
    with caplog.at_level(logging.ERROR, logger="api.http.middleware"):
        answer = client.get(location)
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Content-Security-Policy" in answer.headers
    assert not any(word in answer.text for word in ("Traceback", "moment", "sqlalchemy", "runs"))
    (record,) = caplog.records
    assert record.exc_info
    assert answer.headers["X-Request-ID"] in record.getMessage()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_cross_origin_request_is_allowed(client):
    headers = client.options(
        "/api/v1/jobs", headers={"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}
    ).headers
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_request_is_logged_with_its_ids_and_without_its_query(client, caplog):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with caplog.at_level(logging.INFO, logger="api.http.middleware"):
        answer = client.get(
            "/api/v1/jobs", params={"limit": "7"}, headers={"traceparent": trace, "X-Request-ID": "mine"}
        )
        client.get("/livez")
    assert (answer.headers["traceparent"], answer.headers["X-Request-ID"]) == (trace, "mine")
    (record,) = [record for record in caplog.records if record.name == "api.http.middleware"]
    assert (record.method, record.path, record.status, record.client) == (
        "GET",
        "/api/v1/jobs",
        200,
        "127.0.0.1",
    )
    assert 0 < record.milliseconds < 10_000


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("trace", ["", "00-abc", "00-" + "g" * 32 + "-00f067aa0ba902b7-01", "<script>"])
def test_an_invalid_trace_is_not_echoed(client, trace):
    assert "traceparent" not in client.get("/livez", headers={"traceparent": trace}).headers
