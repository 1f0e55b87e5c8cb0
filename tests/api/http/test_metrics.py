"""`/metrics`, parsed by Prometheus' own parser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from store import runs
from store.database.clock import now
from store.database.models import Attempt


def samples(client):
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_queues_leases_and_workers_match_the_database(client, service, a_job):
    empty = samples(client)
    assert (empty["cil_running_runs",], empty["cil_workers",], empty["cil_event_streams",]) == (0, 0, 0)
    client.post("/api/v1/jobs", json=a_job(seeds=(1, 2, 3)))
    with service.database.transaction() as session:
        runs.register_worker(session, runs.WorkerOffer("worker-1", "cil", "cpu", None), {})
    service.claim()
    found = samples(client)
    assert found["cil_queue_runs", ("queue", "cil")] == 2
    assert found["cil_queue_ready_runs", ("queue", "cil")] == 2
    assert found["cil_queue_oldest_seconds", ("queue", "cil")] >= 0
    assert (found["cil_running_runs",], found["cil_expired_leases",], found["cil_workers",]) == (1, 0, 1)


def test_recent_runs_are_counted_by_state_outcome_and_memory(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job(seeds=(1, 2, 3)))
    service.complete(service.claim(), environment={"peak_host_bytes": 1000, "peak_device_bytes": None})
    service.complete(service.claim(), environment={"peak_host_bytes": 3000, "peak_device_bytes": 7})
    service.fail(service.claim(), "NaN")
    found = samples(client)
    assert {
        state: found["cil_runs", ("state", state)] for state in ("queued", "running", "succeeded", "failed")
    } == {
        "queued": 0,
        "running": 0,
        "succeeded": 2,
        "failed": 1,
    }
    assert [found["cil_attempts_ended", ("outcome", outcome)] for outcome in ("succeeded", "failed")] == [
        2,
        1,
    ]
    assert [
        found["cil_run_peak_bytes", ("device", "cpu"), ("memory", kind)] for kind in ("host", "device")
    ] == [3000, 7]
    with service.database.transaction() as session:
        session.execute(update(Attempt).values(ended_at=now(-timedelta(minutes=61))))
    assert not [key for key in samples(client) if key[0] == "cil_attempts_ended"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_requests_are_counted_by_route_pattern(client):
    for path in ("/api/v1/methods/icarl", "/api/v1/methods/bic", "/api/v1/methods/nope", "/nowhere/at/all"):
        client.get(path)
    client.request("PROPFIND", "/livez")
    found = samples(client)
    assert (
        found["cil_requests_total", ("method", "GET"), ("route", "/api/v1/methods/{name}"), ("status", "200")]
        == 2
    )
    assert (
        found["cil_requests_total", ("method", "GET"), ("route", "/api/v1/methods/{name}"), ("status", "404")]
        == 1
    )
    assert found["cil_request_seconds_count", ("route", "/api/v1/methods/{name}")] == 3
    labels = {value for key in found for label in key[1:] for value in label}
    assert not labels & {"/nowhere/at/all", "PROPFIND", "/api/v1/methods/nope"}
