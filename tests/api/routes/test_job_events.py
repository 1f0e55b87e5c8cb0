"""The events of a job, live and as pages, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import pytest

PATH = "/api/v1/jobs/{}/events"


def stream_events(client, job_id, last_event_id=None, count=None):
    """The (id, event, data) of a stream, up to its end or `count` of them."""
    headers = {"Accept": "text/event-stream"} | (
        {"Last-Event-ID": str(last_event_id)} if last_event_id is not None else {}
    )
    found, now = [], {}
    with client.stream("GET", PATH.format(job_id), headers=headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                now[name] = value
            elif "data" in now:
                found.append((int(now["id"]), now.get("event", "message"), json.loads(now["data"])))
                now = {}
                if len(found) == count:
                    break
    return found


@pytest.fixture
def submitted(client, a_job):
    """A job of one run."""
    return client.post("/api/v1/jobs", json=a_job("icarl", (1,))).json()["id"]


def test_the_stream_of_a_finished_job_has_every_event(client, service, submitted):
    service.complete_all()
    *events, end = stream_events(client, submitted)
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    kinds = [data["kind"] for _, _, data in events]
    assert (kinds[0], kinds[-1], kinds.count("task_evaluated")) == ("job_submitted", "job_finished", 5)
    assert end == (len(events), "end", {})


def test_a_listener_receives_events_as_they_happen(client, service, submitted):
    def work() -> None:
        service.complete(claim)

    claim = service.claim()
    thread = threading.Thread(target=work)
    with client.stream("GET", PATH.format(submitted)) as answer:
        lines = answer.iter_lines()
        assert (
            json.loads(next(line for line in lines if line.startswith("data"))[6:])["kind"] == "job_submitted"
        )
        thread.start()
        rest = list(lines)
    thread.join()
    assert sum('"kind":"task_evaluated"' in line for line in rest) == 5
    assert "event: end" in rest


def test_a_stream_resumes_after_its_last_event(client, service, submitted):
    service.complete_all()
    whole = stream_events(client, submitted)
    half = stream_events(client, submitted, count=4)
    assert half + stream_events(client, submitted, last_event_id=half[-1][0]) == whole


def test_a_stream_resumed_after_the_end_ends_at_once(client, service, submitted):
    service.complete_all()
    last = stream_events(client, submitted)[-1][0]
    assert stream_events(client, submitted, last_event_id=last) == [(last, "end", {})]


def test_events_are_available_as_pages_of_json(client, service, submitted):
    service.complete_all()
    streamed = [data for _, event, data in stream_events(client, submitted) if event != "end"]
    items, cursor = [], "0"
    while cursor is not None:
        page = client.get(
            PATH.format(submitted),
            params={"cursor": cursor, "limit": 3},
            headers={"Accept": "application/json"},
        ).json()
        items += page["items"]
        cursor = page["next_cursor"]
    assert items == streamed


def test_the_last_page_of_an_unfinished_job_has_a_cursor(client, service, submitted):
    accept = {"Accept": "application/json"}
    page = client.get(PATH.format(submitted), headers=accept).json()
    assert page["next_cursor"] == str(page["items"][-1]["sequence"])
    service.complete_all()
    rest = client.get(PATH.format(submitted), params={"cursor": page["next_cursor"]}, headers=accept).json()
    assert (rest["items"][-1]["kind"], rest["next_cursor"]) == ("job_finished", None)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/json", "application/json"),
        ("application/json, text/event-stream", "text/event-stream"),
        ("*/*", "text/event-stream"),
        ("text/csv", None),
    ],
)
def test_the_accept_header_selects_the_representation(client, service, submitted, accept, media_type):
    service.complete_all()
    answer = client.get(PATH.format(submitted), headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == (media_type or "application/problem+json")
    assert answer.status_code == (200 if media_type else 406)


@pytest.mark.parametrize("value", ["-1", "x", "99999999999999999999"])
def test_an_invalid_last_event_id_is_refused(client, submitted, value):
    answer = client.get(PATH.format(submitted), headers={"Last-Event-ID": value})
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (422, "Last-Event-Id")


def test_events_of_an_unknown_job_are_not_found(client):
    for accept in ("text/event-stream", "application/json"):
        assert client.get(PATH.format("job_" + "0" * 26), headers={"Accept": accept}).status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_two_hundred_idle_listeners_need_few_threads_and_all_receive_the_end(served, service, a_job):
    claim_of = {}

    async def listen(client: httpx.AsyncClient, job_id: str, connected: asyncio.Semaphore) -> str:
        async with client.stream("GET", PATH.format(job_id)) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            connected.release()
            return [line async for line in lines][-4]

    async def scenario() -> tuple[list[str], int]:
        connected = asyncio.Semaphore(0)
        async with served.async_client() as client:
            job_id = (await client.post("/api/v1/jobs", json=a_job("icarl", (1,)))).json()["id"]
            claim_of[job_id] = service.claim()
            listeners = [asyncio.create_task(listen(client, job_id, connected)) for _ in range(200)]
            for _ in listeners:
                await connected.acquire()
            threads = threading.active_count()
            assert service.app.state.feed.listeners == 200
            await asyncio.to_thread(service.complete, claim_of[job_id])
            return await asyncio.gather(*listeners), threads

    ends, threads = asyncio.run(scenario())
    assert ends == ["event: end"] * 200
    assert threads < 80  # the pool of worker threads, whatever the number of listeners


def test_a_disconnected_listener_is_removed(client, service, submitted, eventually):
    stream_events(client, submitted, count=1)
    eventually(lambda: service.app.state.feed.listeners == 0)


def test_a_stream_beyond_the_limit_is_refused(service_of, serve, a_job):
    service = service_of(max_event_streams=1)
    with serve(service) as served, served.client() as client:
        job_id = client.post("/api/v1/jobs", json=a_job()).json()["id"]
        with client.stream("GET", PATH.format(job_id)) as open_stream:
            lines = open_stream.iter_lines()
            next(lines)
            refused = client.get(PATH.format(job_id))
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/too-many-streams")
            assert client.get(PATH.format(job_id), headers={"Accept": "application/json"}).status_code == 200
