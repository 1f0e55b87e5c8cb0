"""Authentication: tokens, scopes, and ownership of jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store.access import accounts


def post(client, body, token):
    headers = {"Authorization": token} if token is not None else {}
    client.headers.pop("Authorization", None)
    return client.post("/api/v1/jobs", json=body, headers=headers)


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "Bearer",
        "Bearer x",
        "Basic YWRhOmFkYQ==",
        "Bearer cil_" + "0" * 72,
        "Bearer cil_" + "é" * 72,
        "Bearer " + "c" * 5000,
    ],
)
def test_without_a_valid_token_nothing_is_written(client, service, a_job, token):
    answer = post(client, a_job(), None if token is None else token.encode("utf-8"))
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert service.written()["jobs"] == 0


def test_a_token_with_one_character_changed_is_refused(client, service, a_job):
    wrong = service.token[:-1] + ("0" if service.token[-1] != "0" else "1")
    assert post(client, a_job(), f"Bearer {wrong}").status_code == 401


def test_a_revoked_token_is_refused(client, service, a_job):
    with service.database.transaction() as session:
        (token,) = accounts.list_tokens(session, service.user)
        accounts.revoke_token(session, service.user, token.id)
    assert post(client, a_job(), f"Bearer {service.token}").status_code == 401


def test_an_expired_token_is_refused(client, service, a_job):
    _, token = service.add_user("grace", lifetime=timedelta(seconds=-1))
    assert post(client, a_job(), f"Bearer {token}").status_code == 401


def test_the_token_of_a_disabled_user_is_refused(client, service, a_job):
    with service.database.transaction() as session:
        accounts.disable_user(session, service.user)
    assert post(client, a_job(), f"Bearer {service.token}").status_code == 401


def test_a_missing_scope_is_refused_and_named(client, service, a_job):
    _, token = service.add_user("grace", scopes=())
    answer = post(client, a_job(), f"Bearer {token}")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert "'jobs:write'" in answer.json()["detail"]


def test_the_token_is_checked_before_the_spec(client, a_job):
    assert post(client, a_job("no such method"), "Bearer x").status_code == 401


def test_the_use_of_a_token_is_recorded(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job())
    with service.database.reading() as session:
        assert accounts.list_tokens(session, service.user)[0].last_used_at is not None


def test_reading_needs_no_token(client, a_job):
    location = client.post("/api/v1/jobs", json=a_job()).headers["Location"]
    del client.headers["Authorization"]
    assert client.get(location).status_code == client.get("/api/v1/jobs").status_code == 200


def test_only_the_owner_or_an_administrator_cancels_a_job(client, service, a_job):
    path = client.post("/api/v1/jobs", json=a_job()).headers["Location"] + "/cancellation"
    _, stranger = service.add_user("grace")
    _, administrator = service.add_user("root", scopes=("admin",))
    assert client.post(path, headers={"Authorization": f"Bearer {stranger}"}).status_code == 403
    assert client.post(path, headers={"Authorization": f"Bearer {administrator}"}).status_code == 202


def test_no_response_contains_the_token(client, service, a_job):
    answers = [
        client.post("/api/v1/jobs", json=a_job()),
        client.get("/api/v1/jobs"),
        client.post("/api/v1/jobs", json={"token": 1}),
    ]
    assert all(
        service.token not in answer.text and service.token not in str(answer.headers) for answer in answers
    )
