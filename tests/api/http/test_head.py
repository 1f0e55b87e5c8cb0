"""HEAD answers as GET does, without the body, on every path that answers GET."""

from __future__ import annotations

import httpx
import pytest

from tests.api.crawl import crawl

PER_REQUEST = {"date", "x-request-id", "transfer-encoding"}


def outcome(client: httpx.Client, method: str, path: str) -> tuple[int, dict[str, str]]:
    """Status and headers, without those that may differ."""
    with client.stream(method, path, headers={"Accept-Encoding": "identity"}) as answer:
        headers = {name: value for name, value in answer.headers.items() if name not in PER_REQUEST}
        return answer.status_code, headers


def documented_paths(client: httpx.Client) -> list[str]:
    """The address of every GET route of the OpenAPI document, for things that exist."""
    job = client.get("/api/v1/jobs").json()["items"][0]
    board = client.get(f"/api/v1/leaderboards/{job['track']}").json()["items"]
    values = {"job_id": job["id"], "run_id": job["runs"][0]["id"], "slug": job["track"], "name": "icarl"}
    query = {"/api/v1/compare": {"entry": [entry["id"] for entry in board[:2]]}}
    document = client.get("/api/v1/openapi.json").json()["paths"]
    gets = [path for path, verbs in document.items() if "get" in verbs and "result_id" not in path]
    return [
        str(client.build_request("GET", path.format_map(values), params=query.get(path)).url) for path in gets
    ]


@pytest.fixture(scope="module")
def site(finished_on):
    with finished_on("sqlite") as client:
        yield client


def test_head_equals_get_on_every_documented_route(site):
    paths = documented_paths(site)
    assert len(paths) > 20
    for path in paths:
        assert outcome(site, "HEAD", path) == outcome(site, "GET", path), path


def test_head_equals_get_on_every_page_and_asset(site):
    pages = crawl(site, "/").answers
    assert {"/", "/methods", "/static/site.css"} <= pages.keys()
    for path in [*pages, "/livez", "/readyz", "/metrics", "/static/missing.css", "/missing"]:
        status, headers = outcome(site, "HEAD", path)
        assert status == pages[path].status_code if path in pages else status in {200, 404}
        assert headers["content-type"] == outcome(site, "GET", path)[1]["content-type"], path


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_head_of_an_event_stream_ends_at_once_and_leaves_no_listener(
    client, service, a_job, eventually, accept
):
    job = client.post("/api/v1/jobs", json=a_job()).json()
    answer = client.head(f"/api/v1/jobs/{job['id']}/events", headers={"Accept": accept}, timeout=5)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(accept)
    assert answer.content == b""
    eventually(lambda: service.app.state.feed.listeners == 0, 5)


def test_head_of_a_route_without_get_lists_the_allowed_methods(client):
    answer = client.head("/api/v1/jobs/job_01k9x3v8h2m4n6p8q0r2s4t6v8/cancellation")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert client.put("/livez").headers["Allow"] == "GET, HEAD"


def test_requests_are_counted_by_their_own_method(client):
    client.head("/livez")
    assert 'cil_requests_total{method="HEAD",route="/livez",status="200"} 1.0' in client.get("/metrics").text
