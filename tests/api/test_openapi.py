"""The OpenAPI document describes what there is."""

from __future__ import annotations

import pytest

from api.main import create_app
from api.settings import Settings


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    return create_app(
        Settings(database_url=f"sqlite:///{tmp_path_factory.mktemp('openapi') / 'x.sqlite'}")
    ).openapi()


def operations(document):
    return [
        (path, verb, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_is_openapi_3_1_with_the_public_paths(document):
    assert document["openapi"].startswith("3.1")
    expected = {
        "/jobs",
        "/jobs/{job_id}",
        "/jobs/{job_id}/cancellation",
        "/jobs/{job_id}/events",
        "/runs/{run_id}",
        "/tracks",
        "/tracks/{slug}",
        "/leaderboards/{slug}",
        "/methods",
        "/methods/{name}",
        "/datasets",
        "/backbones",
        "/workers",
    }
    assert expected <= {path.removeprefix("/api/v1") for path in document["paths"]}


def test_operation_ids_are_unique_and_readable(document):
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(name.isalnum() for name in ids)


def test_every_reference_resolves(document):
    found = set(references(document))
    assert "#/components/schemas/ProblemAnswer" in found
    for reference in found:
        at = document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_every_error_is_documented_as_a_problem(document):
    for path, verb, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")) and path != "/readyz":
                assert list(answer["content"]) == ["application/problem+json"], (path, verb, status)
                assert answer["content"]["application/problem+json"]["examples"], (path, verb, status)


def test_writing_requires_a_bearer_token_and_has_examples(document):
    submit = document["paths"]["/api/v1/jobs"]["post"]
    assert submit["security"] == [{"HTTPBearer": []}]
    assert len(submit["requestBody"]["content"]["application/json"]["examples"]) >= 2
    assert {"200", "202", "400", "401", "403", "409", "413", "415", "422", "429", "503"} <= set(
        submit["responses"]
    )


def test_an_event_of_the_stream_is_described_as_an_object(document):
    answers = document["paths"]["/api/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]
    event, end = answers["text/event-stream"]["itemSchema"]["oneOf"]
    assert (event["type"], event["required"]) == ("object", ["id", "data"])
    assert event["properties"]["data"]["contentSchema"] == {"$ref": "#/components/schemas/EventAnswer"}
    assert end["properties"]["event"] == {"const": "end"}
