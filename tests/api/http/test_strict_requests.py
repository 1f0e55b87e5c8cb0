"""Bodies and queries that are not strictly well-formed are refused before the route runs."""

from __future__ import annotations

import json

import pytest

TEXTS = {
    "NaN": ('"temperature": NaN', 422, "/method/temperature", "finite"),
    "infinity": ('"temperature": 1e999', 422, "/method/temperature", "finite"),
    "a huge number": ('"temperature": 1e300', 422, "/method/temperature", "less than or equal to 100"),
    "a huge integer": ('"temperature": ' + "9" * 5000, 422, "/method/temperature", "finite"),
    "a key twice": ('"loss": "ce", "loss": "bce"', 400, "", "duplicate key 'loss'"),
    "U+0000": ('"loss": "a\\u0000b"', 400, "/method/loss", "U+0000"),
    "half a surrogate pair": ('"loss": "\\ud800"', 400, "/method/loss", "surrogate"),
    "deep nesting": ('"loss": ' + "[" * 20 + "]" * 20, 400, None, "16 levels"),
    "very deep nesting": ('"loss": ' + "[" * 30_000 + "]" * 30_000, 400, None, "16 levels"),
    "broken JSON": ('"loss": ', 400, "", "Expecting value"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_malformed_json_is_refused(refusing, name):
    service, client = refusing
    text, status, pointer, said = TEXTS[name]
    body = '{"track": "digits-b0-inc2-m50-convnet", "seeds": [1], "method": {"name": "icarl", ' + text + "}}"
    answer = client.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    (fault,) = answer.json()["errors"]
    assert pointer is None or fault["pointer"] == pointer
    assert said in fault["detail"]
    assert service.written()["jobs"] == 0


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        (None, 415),
        ("application/json; charset=utf-8", 202),
    ],
)
def test_only_json_bodies_are_accepted(client, a_job, content_type, status):
    headers = {"Content-Type": content_type} if content_type else {}
    assert (
        client.post("/api/v1/jobs", content=json.dumps(a_job()).encode(), headers=headers).status_code
        == status
    )


def test_an_empty_body_is_refused(refusing):
    _, client = refusing
    answer = client.post("/api/v1/jobs", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"pointer": "", "detail": "a JSON object is required"}],
    )


def test_a_body_over_the_limit_is_refused(refusing):
    service, client = refusing
    answer = client.post(
        "/api/v1/jobs",
        content=b'{"a": "' + b"x" * 64 * 1024 + b'"}',
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-too-large")
    assert "65536" in answer.json()["detail"]
    assert service.written()["jobs"] == 0


def test_a_body_without_a_length_is_refused_at_the_limit(refusing):
    _, client = refusing
    answer = client.post(
        "/api/v1/jobs",
        content=(b" " * 1000 for _ in range(100)),
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-too-large")


def test_unknown_query_parameters_are_refused_and_nothing_is_written(refusing, a_job):
    service, client = refusing
    answer = client.post("/api/v1/jobs?forse=true", json=a_job())
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"parameter": "forse", "detail": "unknown query parameter; known: force"}
    ]
    assert service.written()["jobs"] == 0
