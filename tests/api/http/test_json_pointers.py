"""Each fault of a well-formed body is located by a JSON pointer and names the allowed values."""

from __future__ import annotations

import json
from typing import Any

import pytest

TRACK = {
    "dataset": "digits",
    "protocol": {"first": 2, "increment": 2},
    "memory": {"kind": "total", "amount": 50},
    "backbone": "convnet",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good job with the value at `path` changed."""
    body: dict[str, Any] = {
        "method": {"name": "icarl", "preset": "small"},
        "track": json.loads(json.dumps(TRACK)),
        "seeds": [1, 2],
    }
    *parents, last = path.split("/")
    at = body
    for parent in parents:
        at = at.setdefault(parent, {})
    at[last] = value
    return body


BAD = {
    "unknown method": (changed("method/name", "icarll"), "/method/name", "finetune, "),
    "no method name": (changed("method", {}), "/method/name", "known: "),
    "method as text": (changed("method", "icarl"), "/method", "a JSON object is required"),
    "unknown preset": (changed("method/preset", "huge"), "/method/preset", "'paper', 'small'"),
    "unknown field": (changed("sedes", [1]), "/sedes", "known: method, name, seeds, track"),
    "unknown field of a method": (changed("method/temprature", 2), "/method/temprature", "temperature"),
    "unknown field of a schedule": (
        changed("method/first_task", {"epochs": 2, "lrr": 1}),
        "/method/first_task/lrr",
        "batch_size, clip_norm, curve",
    ),
    "unknown field of a track": (
        changed("track/protocol/incremen", 2),
        "/track/protocol/incremen",
        "class_order, first, increment",
    ),
    "a field that needs escaping": (changed("a~b", 1), "/a~0b", "unknown field"),
    "unknown dataset": (
        changed("track/dataset", "letters"),
        "/track/dataset",
        "cars196, cifar10, cifar100, ",
    ),
    "unknown backbone": (changed("track/backbone", "vgg"), "/track/backbone", "convnet, "),
    "a first task that does not fit": (
        changed("track/protocol/first", 11),
        "/track/protocol/first",
        "digits has only 10",
    ),
    "an increment that does not fit": (
        changed("track/protocol/increment", 9),
        "/track/protocol/increment",
        "8 left",
    ),
    "a class twice": (changed("track/protocol/class_order", [0, 0]), "/track/protocol/class_order", "once"),
    "seeds repeated": (changed("seeds", [7, 8, 7]), "/seeds", "duplicate seeds: 7"),
    "no seeds": (changed("seeds", []), "/seeds", "at least one seed"),
    "too many seeds": (changed("seeds", list(range(21))), "/seeds", "20 at most"),
    "a negative seed": (changed("seeds", [1, -1]), "/seeds/1", "greater than or equal to 0"),
    "too small a memory": (
        changed("track/memory/amount", 9),
        "/track/memory/amount",
        "each of the 10 classes",
    ),
    "a memory of no kind": (changed("track/memory/kind", "lots"), "/track/memory/kind", "'per_class'"),
    "no memory amount": (changed("track/memory", {"kind": "total"}), "/track/memory", "at least 1"),
    "too many epochs": (
        changed("method/later_tasks", {"epochs": 10_000}),
        "/method/later_tasks/epochs",
        "1000 at most",
    ),
    "milestones out of order": (
        changed("method/first_task", {"epochs": 9, "milestones": [5, 3]}),
        "/method/first_task/milestones",
        "rise strictly",
    ),
    "a missing field": (changed("track/protocol", {"first": 2}), "/track/protocol/increment", "required"),
    "a slug of no form": (changed("track", "digits"), "/track", "such as"),
    "a slug that names an impossible track": (
        changed("track", "digits-b0-inc1-m50-convnet"),
        "/track",
        "protocol.first: ",
    ),
    "no object": ([], "", "a JSON object is required"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_fault_has_a_pointer_and_the_allowed_values(refusing, name):
    service, client = refusing
    body, pointer, said = BAD[name]
    answer = client.post("/api/v1/jobs", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-body"
    assert problem["errors"][0]["pointer"] == pointer
    assert said in problem["errors"][0]["detail"]
    assert service.written() == {"jobs": 0, "runs": 0, "tracks": 0}
