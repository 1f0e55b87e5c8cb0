"""The list of jobs with its filters, and addresses that readers guess."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import update

from store.database.models import Job

TRACK = "digits-b0-inc2-m50-convnet"
SMALLER = "digits-b0-inc2-m20-convnet"


def read(client, address, status=200):
    answer = client.get(address, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    return answer.text


def listed(client, address):
    return re.findall(r'<th scope="row"><a href="/jobs/(job_\w+)">', read(client, address))


@pytest.fixture
def jobs(client, service, a_job):
    """A finished job, then two queued ones that differ in method and track."""
    first = client.post("/api/v1/jobs", json=a_job("icarl", (1,))).json()["id"]
    service.complete_all()
    others = [
        client.post("/api/v1/jobs", json=a_job(method, (2,), track)).json()["id"]
        for method, track in (("replay", TRACK), ("icarl", SMALLER))
    ]
    return first, *others


def test_jobs_are_listed_newest_first(client, jobs):
    assert listed(client, "/jobs") == list(reversed(jobs))
    assert 'aria-current="page">Jobs' in read(client, "/jobs")


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("state=queued", [2, 1]),
        ("state=succeeded", [0]),
        ("method=icarl", [2, 0]),
        (f"track={TRACK}", [1, 0]),
        ("user=ada", [2, 1, 0]),
        ("state=queued&method=icarl", [2]),
        ("state=&method=&track=&user=", [2, 1, 0]),
        ("user=nobody", []),
    ],
)
def test_jobs_are_filtered(client, jobs, query, places):
    assert listed(client, f"/jobs?{query}") == [jobs[place] for place in places]


def test_jobs_are_filtered_by_a_user_s_id_too(client, service, jobs):
    assert listed(client, f"/jobs?user={service.user}") == list(reversed(jobs))


def test_an_empty_list_names_its_filters(client, jobs):
    assert "No job with state failed and method icarl." in read(client, "/jobs?state=failed&method=icarl")


def test_filters_are_kept_in_the_form(client, jobs):
    text = read(client, f"/jobs?state=queued&track={TRACK}")
    assert '<option value="queued" selected>' in text
    assert f'name="track" value="{TRACK}"' in text


def test_an_unknown_state_is_refused_with_a_page(client):
    assert "state" in read(client, "/jobs?state=lost", status=422)


def test_pages_of_jobs_follow_each_other(client, a_job):
    made = [client.post("/api/v1/jobs", json=a_job("replay", (1,))).json()["id"] for _ in range(53)]
    text = read(client, "/jobs?method=replay")
    assert len(listed(client, "/jobs?method=replay")) == 50
    following = re.search(r'<a href="([^"]+)" rel="next">', text)[1].replace("&amp;", "&")
    assert listed(client, following) == list(reversed(made[:3]))
    assert 'href="/jobs?method=replay">First page' in read(client, following)
    assert 'rel="next"' not in read(client, following)


def test_control_characters_of_a_job_s_name_are_shown_as_escapes(client, service, a_job):
    job = client.post("/api/v1/jobs", json=a_job("replay", (1,))).json()["id"]
    with service.database.transaction() as session:  # names like this were accepted once
        session.execute(update(Job).values(name="a\u202egnp.exe\x1b"))
    for address in ("/jobs", "/", f"/jobs/{job}"):
        text = read(client, address)
        assert "a\\u202egnp.exe\\x1b" in text
        assert not {"\u202e", "\x1b"} & set(text)


GUESSED = (
    "/jobs /runs /tracks /leaderboards /datasets /datasets/digits /methods /workers /compare /ranks /budgets"
    " /submit /docs /redoc /api /api/v1 /problems /suites /queue /help /home /jobs/ /methods/"
)


@pytest.mark.parametrize("address", [*GUESSED.split(), f"/leaderboards/{TRACK}"])
def test_a_guessed_address_has_a_page(finished, address):
    answer = finished.get(address, headers={"Accept": "text/html"}, follow_redirects=True)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1" in answer.text


def test_the_reference_lists_every_operation_of_the_api(client):
    text = read(client, "/api")
    document = client.get("/api/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in text


def test_every_type_of_problem_is_listed_with_its_page(client):
    links = re.findall(r'<a href="(/problems/[^"]+)"', read(client, "/problems"))
    assert len(links) > 15
    assert all(client.get(link).status_code == 200 for link in links)


@pytest.mark.parametrize(
    "address", ["/compare/x.svg", "/ranks/ranks.svg", "/tracks/x/y", "/nothing", "/datasets/x"]
)
def test_problems_of_pages_are_pages(client, address):
    answer = client.get(address, headers={"Accept": "text/html"})
    assert answer.status_code in {404, 422}
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_ranks_and_budgets_without_tracks_offer_tracks_to_choose(client, service, a_job):
    assert "Fewer than two tracks have results" in read(client, "/ranks")
    for track in (TRACK, SMALLER):
        client.post("/api/v1/jobs", json=a_job("replay", (1,), track))
    service.complete_all()
    for address in ("/ranks", "/budgets"):
        text = read(client, address)
        assert f'<form action="{address}"' in text
        assert f'name="track" value="{SMALLER}"' in text
