"""Workers are woken up after the commit; a Redis that does not respond delays no request."""

from __future__ import annotations

import json
import socket
import time

import pytest
import redis

from api.live.ringer import Ringer
from store.celery_config import DEFAULT_QUEUE, MESSAGE


def messages(url):
    with redis.Redis.from_url(url) as connection:
        return [json.loads(message) for message in connection.lrange(DEFAULT_QUEUE, 0, -1)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_new_run_rings_once_and_a_reused_one_never(service_of, client_of, redis_url, a_job, eventually):
    service = service_of(redis_url=redis_url)
    with client_of(service) as client:
        client.post("/api/v1/jobs", json=a_job())
        eventually(lambda: len(messages(redis_url)) == 1)
        (message,) = messages(redis_url)
        assert (message["headers"]["task"], message["content-type"]) == (MESSAGE, "application/json")
        service.complete_all()
        assert client.post("/api/v1/jobs", json=a_job()).status_code == 200
        client.post("/api/v1/jobs", json=a_job("lwf"))
        eventually(lambda: len(messages(redis_url)) == 2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_refused_submission_does_not_ring(service_of, client_of, redis_url, a_job):
    with client_of(service_of(redis_url=redis_url)) as client:
        assert client.post("/api/v1/jobs", json=a_job("nope")).status_code == 422
        assert client.post("/api/v1/jobs", json=a_job(track="nope-b0-inc2-m50-convnet")).status_code == 422
    assert messages(redis_url) == []


def silent_server():
    """A port that accepts connections and never says a word."""
    return socket.create_server(("127.0.0.1", 0))


def test_submissions_and_events_work_without_redis(service_of, client_of, a_job, caplog):
    service = service_of(redis_url="redis://127.0.0.1:1/0")
    with client_of(service) as client:
        answer = client.post("/api/v1/jobs", json=a_job(seeds=(1,)))
        assert answer.status_code == 202
        service.complete_all()
        events = client.get(answer.headers["Location"] + "/events").text
    assert "event: end" in events
    assert "cannot wake up" in caplog.text


def test_a_hanging_redis_costs_one_timeout_and_then_a_pause(caplog):
    with silent_server() as server:
        ringer = Ringer(f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        began = time.monotonic()
        ringer.ring(["cil", "gpu"])
        first = time.monotonic() - began
        ringer.ring(["cil"])
        assert time.monotonic() - began - first < 0.1
    assert 0.5 < first < 4
    assert caplog.text.count("cannot wake up") == 1


def test_a_hanging_redis_delays_no_response(service_of, client_of, a_job, monkeypatch):
    # So long is a ring tried: an answer that waited for it could not be quicker, however slow the machine.
    monkeypatch.setattr("api.live.ringer.TIMEOUT_SECONDS", 5.0)
    with (
        silent_server() as server,
        client_of(service_of(redis_url=f"redis://127.0.0.1:{server.getsockname()[1]}/0")) as client,
    ):
        client.get("/livez")
        began = time.monotonic()
        assert client.post("/api/v1/jobs", json=a_job()).status_code == 202
        assert time.monotonic() - began < 4.5


def test_without_a_redis_url_ringing_does_nothing(caplog):
    Ringer(None).ring(["cil"])
    assert caplog.text == ""
