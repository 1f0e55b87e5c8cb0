"""The site below a path: a proxy serves it at `/cil` and removes the prefix from every request."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.api.crawl import Crawl, crawl
from tests.api.service import Service

PREFIX = "/cil"


class Proxy(httpx.HTTPTransport):
    """Passes requests below the prefix to the service, without the prefix."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the proxy does."""
        path = request.url.raw_path.decode()
        if not path.startswith(f"{PREFIX}/"):
            return httpx.Response(418, text="another site")
        request.url = request.url.copy_with(raw_path=path.removeprefix(PREFIX).encode())
        return super().handle_request(request)


@pytest.fixture(scope="module")
def site(databases, serving_of, a_job) -> Iterator[httpx.Client]:
    with (
        databases.url("sqlite") as url,
        databases.opened(url) as database,
        serving_of(Service(database), root_path=PREFIX) as served,
    ):
        headers = {"Authorization": f"Bearer {served.service.token}"}
        with httpx.Client(base_url=served.url, transport=Proxy(), headers=headers, timeout=60) as client:
            for method in ("replay", "icarl"):
                assert client.post(f"{PREFIX}/api/v1/jobs", json=a_job(method)).status_code == 202
            served.service.complete_all()
            assert client.post(f"{PREFIX}/api/v1/jobs", json=a_job("lwf")).status_code == 202
            yield client


@pytest.fixture(scope="module")
def pages(site) -> Crawl:
    return crawl(site, f"{PREFIX}/")


def test_every_link_style_and_script_leads_somewhere(pages):
    assert {f"{PREFIX}/methods", f"{PREFIX}/submit", f"{PREFIX}/static/site.css"} <= pages.answers.keys()
    assert len(pages.answers) > 50
    assert {address: answer.status_code for address, answer in pages.answers.items() if answer.is_error} == {}
    assert {answer.status_code for answer in pages.answers.values()} == {200}


def test_every_address_in_a_page_begins_with_the_prefix(pages):
    assert {name for name, _ in pages.addresses} >= {"href", "src", "action", "data-hx-get", "data-events"}
    assert [found for found in pages.addresses if not found[1].startswith(f"{PREFIX}/")] == []


def test_scripts_and_styles_hold_no_absolute_path(pages):
    for address, answer in pages.answers.items():
        if re.search(r"\.(js|css)$", address) and "htmx" not in address:
            assert re.findall(r"""(?:["'`]|url\()/(?:static|api|jobs|runs|tracks)\b""", answer.text) == [], (
                address
            )


def test_every_form_is_answered(site, pages):
    forms = {address for name, address in pages.addresses if name in {"action", "data-hx-post"}}
    assert len(forms) >= 2
    for address in forms:
        assert site.post(address, data={"action": "check"}).status_code in {200, 303, 401, 405}, address


def test_an_example_for_curl_names_the_whole_address(site):
    text = site.get(f"{PREFIX}/submit").text
    assert f"curl -X POST {site.base_url}{PREFIX}/api/v1/jobs" in text


def test_a_submitted_form_redirects_to_the_job(site, a_job):
    token = site.headers["Authorization"].removeprefix("Bearer ")
    form = {"method": "ewc", "track": a_job()["track"], "seeds": "1", "action": "submit", "token": token}
    answer = site.post(f"{PREFIX}/submit", data=form)
    assert (answer.status_code, answer.headers["Location"][:14]) == (303, f"{PREFIX}/jobs/job_")
    assert site.get(answer.headers["Location"]).status_code == 200
    cancelled = site.post(f"{answer.headers['Location']}/cancel", data={"token": token})
    assert cancelled.headers["Location"] == answer.headers["Location"]


def test_location_and_link_headers_can_be_followed(site, a_job):
    job = site.post(f"{PREFIX}/api/v1/jobs", json=a_job())
    assert site.get(job.headers["Location"]).json()["id"] == job.json()["id"]
    replay = site.post(f"{PREFIX}/api/v1/runs/{job.json()['runs'][0]['id']}/replay")
    assert site.get(replay.headers["Location"]).json()["id"] == replay.json()["id"]
    listed = site.get(f"{PREFIX}/api/v1/jobs", params={"limit": 1})
    assert site.get(listed.links["next"]["url"]).json()["items"] != listed.json()["items"]


@pytest.mark.parametrize("path", ["/api/v1/missing", "/api/v1/jobs?nothing=1", "/static/missing.css"])
def test_the_type_of_a_problem_leads_to_its_page(site, path):
    problem = site.get(PREFIX + path, headers={"Accept": "application/json"}).json()
    assert site.get(problem["type"], headers={"Accept": "text/html"}).status_code == 200


@pytest.mark.parametrize("path", ["/missing", "/static/missing.css"])
def test_the_page_of_a_problem_links_below_the_prefix(site, path):
    answer = site.get(PREFIX + path, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert set(re.findall(r'(?:href|src)="(/\w*)', answer.text)) == {PREFIX}


def test_the_openapi_document_names_the_prefix_as_its_server(site):
    assert site.get(f"{PREFIX}/api/v1/openapi.json").json()["servers"] == [{"url": PREFIX}]


def test_routes_are_counted_without_the_prefix(site):
    site.get(f"{PREFIX}/livez")
    metrics = site.get(f"{PREFIX}/metrics").text
    assert 'route="/livez"' in metrics
    assert 'route="/api/v1/jobs"' in metrics
    assert PREFIX not in metrics
