"""Tokens over HTTP."""

from __future__ import annotations

import pytest

from store.access import accounts


@pytest.fixture
def owner(client, service):
    """A client whose token may make tokens."""
    with service.database.transaction() as session:
        token = accounts.issue_token(session, service.user, "owner", ["tokens:write", "jobs:write"])
    client.headers["Authorization"] = f"Bearer {token.plain}"
    return client


def test_a_new_token_is_shown_once_works_and_can_be_revoked(owner, a_job):
    made = owner.post("/api/v1/tokens", json={"name": "laptop", "scopes": ["jobs:write"], "days": 1})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    token = made.json()["token"]
    assert made.json()["expires_at"] is not None
    use = {"Authorization": f"Bearer {token}"}
    assert owner.post("/api/v1/jobs", json=a_job(), headers=use).status_code == 202
    listed = owner.get("/api/v1/tokens")
    assert [item["name"] for item in listed.json()["items"]] == ["laptop", "owner", "a token"]
    assert token not in listed.text
    revoked = owner.delete(f"/api/v1/tokens/{made.json()['id']}")
    assert revoked.json()["revoked_at"] is not None
    assert owner.post("/api/v1/jobs", json=a_job(), headers=use).status_code == 401


def test_a_token_cannot_grant_more_than_it_has(owner):
    answer = owner.post("/api/v1/tokens", json={"name": "more", "scopes": ["jobs:write", "admin"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (403, "/scopes/1")
    assert len(owner.get("/api/v1/tokens").json()["items"]) == 2


def test_a_token_without_the_scope_neither_creates_nor_lists_tokens(client):
    assert client.post("/api/v1/tokens", json={"name": "x", "scopes": ["jobs:write"]}).status_code == 403
    assert client.get("/api/v1/tokens").status_code == 403


def test_invalid_requests_list_the_allowed_values(owner):
    answer = owner.post("/api/v1/tokens", json={"name": "", "scopes": ["jobs:wright"], "dayz": 1})
    faults = {fault["pointer"]: fault["detail"] for fault in answer.json()["errors"]}
    assert answer.status_code == 422
    assert "at least 1 character" in faults["/name"]
    assert "'jobs:write'" in faults["/scopes/0"]
    assert "known: days, name, scopes" in faults["/dayz"]


def test_the_token_of_another_user_is_not_found(owner, service):
    other, _ = service.add_user("grace")
    with service.database.reading() as session:
        (token,) = accounts.list_tokens(session, other)
    assert owner.delete(f"/api/v1/tokens/{token.id}").status_code == 404
