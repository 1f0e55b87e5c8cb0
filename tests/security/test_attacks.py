"""Attacks over HTTP against the real service."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import re
import secrets
import zlib

import pytest

from store.access.accounts import Scope

BOARD = "/api/v1/leaderboards/digits-b0-inc2-m50-convnet"
EVIL = '=HYPERLINK("http://evil","x")<script>alert(1)</script>\'--'
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def well_formed(secret: str) -> str:
    return f"cil_{secret}{zlib.crc32(secret.encode()):08x}"


# ---------------------------------------------------------------------- tokens


def test_a_forged_token_with_a_valid_checksum_is_refused(client, service, a_job):
    forged = [
        well_formed(secrets.token_hex(32)),
        well_formed("0" * 64),
        well_formed(hashlib.sha256(service.token.encode()).hexdigest()),
    ]
    for token in forged:
        assert client.post("/api/v1/jobs", json=a_job(), headers=bearer(token)).status_code == 401
    assert service.written()["jobs"] == 0


@pytest.mark.parametrize(
    "header", ["Basic YWRhOmFkYQ==", "Bearer", "cil_x", "Bearer ' OR '1'='1", "Bearer " + "a" * 7000]
)
def test_other_kinds_of_credentials_are_refused(client, service, a_job, header):
    answer = client.post("/api/v1/jobs", json=a_job(), headers={"Authorization": header})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
    assert service.written()["jobs"] == 0


def test_guessing_tokens_is_limited_without_affecting_other_users(service_of, serving_of, a_job):
    service = service_of(failures_per_minute=5)
    with serving_of(service) as served, served.client() as client:
        answers = [
            client.post("/api/v1/jobs", json=a_job(), headers=bearer(well_formed(secrets.token_hex(32))))
            for _ in range(7)
        ]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert client.post("/api/v1/jobs", json=a_job()).status_code == 202


@pytest.mark.parametrize("scope", [scope.value for scope in Scope if scope is not Scope.admin])
def test_a_token_cannot_extend_its_own_scopes(client, service, scope):
    _, token = service.add_user("mallory", (scope,))
    for wanted in set(Scope) - {scope}:
        answer = client.post(
            "/api/v1/tokens", json={"name": "more", "scopes": [wanted]}, headers=bearer(token)
        )
        assert answer.status_code == 403
    listed = client.get("/api/v1/tokens", headers=bearer(token))
    assert listed.status_code == (200 if scope == "tokens:write" else 403)


WRITES = {
    "/api/v1/jobs": {"jobs:write"},
    "/api/v1/results": {"results:write"},
    "/api/v1/tokens": {"tokens:write"},
    "/api/v1/jobs/job_00000000000000000000000000/cancellation": {"jobs:write"},
    "/api/v1/runs/run_00000000000000000000000000/replay": {"jobs:write"},
}


def test_every_writing_route_requires_its_scope(client, service):
    tokens = {
        scope: service.add_user(f"only {scope}", (scope,))[1]
        for scope in ("jobs:write", "results:write", "tokens:write")
    }
    document = client.get("/api/v1/openapi.json").json()
    writing = {path for path, verbs in document["paths"].items() for verb in verbs if verb == "post"}
    assert {
        re.sub(r"(job|run)_0{26}", lambda found: f"{{{found[1]}_id}}", path) for path in WRITES
    } == writing
    for path, allowed in WRITES.items():
        for scope, token in tokens.items():
            status = client.post(path, json={}, headers=bearer(token)).status_code
            assert (status == 403) == (scope not in allowed), (path, scope, status)


def test_users_cannot_change_what_belongs_to_others(client, service, a_job):
    job = client.post("/api/v1/jobs", json=a_job()).json()["id"]
    _, mallory = service.add_user("mallory", ("jobs:write", "tokens:write", "results:write"))
    assert client.post(f"/api/v1/jobs/{job}/cancellation", headers=bearer(mallory)).status_code == 403
    assert client.get("/api/v1/tokens", headers=bearer(mallory)).json()["items"][0]["name"] == "a token"
    assert len(client.get("/api/v1/tokens", headers=bearer(mallory)).json()["items"]) == 1
    assert client.get(f"/api/v1/jobs/{job}").json()["state"] == "queued"


# ---------------------------------------------------------------------- paths and bodies


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "folder:../../etc",
        "folder:/etc/passwd",
        "folder:..\\..\\windows",
        "file:///etc/passwd",
        "digits/../../x",
        ".",
    ],
)
def test_a_dataset_name_never_becomes_a_path(client, service, a_job, name):
    track = {
        "dataset": name,
        "protocol": {"first": 2, "increment": 2},
        "memory": {"kind": "total", "amount": 50},
        "backbone": "convnet",
    }
    answer = client.post("/api/v1/jobs", json=a_job(track=track))
    assert answer.status_code == 422
    assert any(fault["pointer"].startswith("/track/dataset") for fault in answer.json()["errors"])
    assert service.written() == {"jobs": 0, "runs": 0, "tracks": 0}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../main.py",
        "/static/%2e%2e/main.py",
        "/static/..%2f..%2fsettings.py",
        "/static//etc/passwd",
        "/static/%00",
        "/tracks/..%2f..%2fetc",
    ],
)
def test_no_address_leaves_the_static_folder(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert "import" not in answer.text
    assert "root:" not in answer.text


def test_a_body_that_would_exhaust_memory_or_stack_is_refused(client, service):
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    wide = b'{"method": {"name": "' + b"x" * 70_000 + b'"}}'
    digits = b'{"seeds": [' + b"9" * 20_000 + b"]}"
    answers = [
        client.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        for body in (deep, wide, digits)
    ]
    assert [answer.status_code for answer in answers] == [400, 413, 422]
    assert service.written()["jobs"] == 0
    assert client.get("/livez").status_code == 200


# ---------------------------------------------------------------------- injection


def test_a_job_name_is_escaped_on_every_page(client, service, a_job):
    job = client.post("/api/v1/jobs", json={**a_job(seeds=(1,)), "name": EVIL}).json()["id"]
    service.complete_all()
    for path in (f"/jobs/{job}", "/", f"/submit?job={job}"):
        page = client.get(path, headers={"Accept": "text/html"}).text
        assert "<script>alert" not in page
    assert EVIL in client.get(f"/api/v1/jobs/{job}").json()["name"]


def test_reported_texts_are_escaped_and_links_are_web_addresses(client, service):
    _, token = service.add_user("mallory", ("results:write",))
    reported = {
        "track": "digits-b0-inc2-m50-convnet",
        "title": EVIL[:80],
        "citation": EVIL,
        "note": EVIL,
        "curve": [0.5] * 5,
    }
    assert client.post("/api/v1/results", json=reported, headers=bearer(token)).status_code == 201
    for link in ("javascript:alert(1)", "data:text/html,x", "//evil", "http://", "https://a b"):
        assert (
            client.post("/api/v1/results", json={**reported, "link": link}, headers=bearer(token)).status_code
            == 422
        )
    page = client.get("/tracks/digits-b0-inc2-m50-convnet", headers={"Accept": "text/html"}).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_no_exported_cell_is_a_formula(client, service, a_job):
    client.post("/api/v1/jobs", json={**a_job(seeds=(1,)), "name": EVIL})
    service.complete_all()
    cells = [
        cell
        for row in csv.reader(io.StringIO(client.get(BOARD, params={"format": "csv"}).text))
        for cell in row
    ]
    assert len(cells) > 50
    assert not [
        cell
        for cell in cells
        if (cell[:1] in "=+@\t\r" and cell) or (cell[:1] == "-" and not re.fullmatch(r"-[\d.e-]+", cell))
    ]


@pytest.mark.parametrize("evil", ["' OR 1=1 --", "x'; DROP TABLE runs; --", "%27%20OR%201=1", "\u0000"])
def test_sql_in_a_parameter_is_a_value(client, service, a_job, evil):
    client.post("/api/v1/jobs", json=a_job(seeds=(1,)))
    answers = [client.get("/api/v1/jobs", params={name: evil}) for name in ("method", "track", "user")]
    assert all(answer.status_code == 422 or answer.json()["items"] == [] for answer in answers)
    assert service.written()["runs"] == 1


# ---------------------------------------------------------------------- cursors and streams


def test_a_changed_cursor_is_refused(client, service, a_job):
    for seed in range(3):
        client.post("/api/v1/jobs", json=a_job(seeds=(seed,)))
    cursor = client.get("/api/v1/jobs", params={"limit": 1}).json()["next_cursor"]
    changed = [
        cursor[:-1] + ("A" if cursor[-1] != "A" else "B"),
        "0" * 32 + cursor[32:],
        cursor[32:],
        cursor[::-1],
        "é" * 40,
    ]
    for given in changed:
        assert (
            client.get("/api/v1/jobs", params={"limit": 1, "cursor": given}).json()["type"]
            == "/problems/invalid-cursor"
        )
    assert (
        client.get("/api/v1/results", params={"cursor": cursor}).json()["type"] == "/problems/invalid-cursor"
    )  # of another list


def test_one_address_cannot_occupy_all_streams(service_of, serving_of, a_job):
    service = service_of(max_event_streams=10, max_event_streams_per_address=3)

    async def attack(served) -> list[int]:
        async with served.async_client() as client:
            job = (await client.post("/api/v1/jobs", json=a_job())).json()["id"]
            streams = [client.stream("GET", f"/api/v1/jobs/{job}/events") for _ in range(5)]
            statuses = [(await stream.__aenter__()).status_code for stream in streams]
            assert (await client.get("/livez")).status_code == 200
            for stream in streams:
                await stream.__aexit__(None, None, None)
            return statuses

    with serving_of(service) as served:
        assert asyncio.run(attack(served)) == [200, 200, 200, 503, 503]


def test_other_sites_can_neither_read_nor_act(client, a_job):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        client.options("/api/v1/jobs", headers=headers),
        client.get("/api/v1/jobs", headers=headers),
        client.get("/", headers=headers),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert "set-cookie" not in answer.headers
