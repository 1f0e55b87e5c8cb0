"""Results that users report: checked, shown on the leaderboard, never ranked."""

from __future__ import annotations

import pytest

from store.access import accounts

TRACK = "digits-b0-inc2-m50-convnet"
CURVE = [0.99, 0.95, 0.9, 0.85, 0.81]
RESULT = {
    "track": TRACK,
    "title": "iCaRL",
    "method": "icarl",
    "citation": "somewhere, 2026",
    "link": "https://example.org/code",
    "seeds": 3,
    "curve": CURVE,
}
MATRIX = [[1.0], [0.8, 0.9], [0.7, 0.8, 0.9], [0.6, 0.7, 0.8, 0.9], [0.5, 0.6, 0.7, 0.8, 0.9]]


@pytest.fixture
def reporter(client, service):
    """A client whose token may report results."""
    with service.database.transaction() as session:
        token = accounts.issue_token(session, service.user, "reporter", ["results:write", "jobs:write"]).plain
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def test_a_result_appears_on_the_leaderboard_without_a_rank(reporter, service, a_job):
    reporter.post("/api/v1/jobs", json=a_job("icarl"))
    service.complete_all()
    before = reporter.get(f"/api/v1/leaderboards/{TRACK}").json()
    made = reporter.post("/api/v1/results", json=RESULT)
    assert (made.status_code, made.json()["trust"], made.json()["user"]) == (201, "reported", "ada")
    assert made.json()["average_accuracy"] == pytest.approx(0.9)
    assert reporter.get(made.headers["Location"]).json() == made.json()
    after = reporter.get(f"/api/v1/leaderboards/{TRACK}").json()
    assert after["items"] == before["items"]
    (row,) = after["reported"]
    assert (row["id"], row["source"]) == (made.json()["id"], "somewhere, 2026")
    assert (row["preset"], row["entry"], row["gap"]) == (None, None, None)  # its recipe is unknown


def test_a_result_on_a_memory_aligned_track_can_be_reported(reporter):
    aligned = "digits-b0-inc2-m50a-convnet"
    made = reporter.post("/api/v1/results", json={**RESULT, "track": aligned})
    assert made.status_code == 201, made.text
    assert [row["id"] for row in reporter.get(f"/api/v1/leaderboards/{aligned}").json()["reported"]] == [
        made.json()["id"]
    ]


def test_a_matrix_determines_curve_and_forgetting(reporter):
    made = reporter.post("/api/v1/results", json={**RESULT, "curve": None, "matrix": MATRIX}).json()
    assert made["curve"] == pytest.approx([1.0, 0.85, 0.8, 0.75, 0.7])
    assert (made["average_accuracy"], made["last_accuracy"]) == (pytest.approx(0.82), pytest.approx(0.7))
    assert made["forgetting"] == pytest.approx((0.5 + 0.3 + 0.2 + 0.1) / 4)


@pytest.mark.parametrize(
    ("change", "pointer", "complaint"),
    [
        ({"curve": CURVE[:4]}, "/curve", "4 points were given; the track has 5 tasks"),
        ({"curve": None}, "/curve", "give the accuracy after each task as `curve`, or the whole `matrix`"),
        ({"curve": [99.0, *CURVE[1:]]}, "/curve/0", "less than or equal to 1; given: 99.0"),
        ({"average_accuracy": 0.95}, "/average_accuracy", "0.95 was given; the mean of the curve is 0.9000"),
        ({"last_accuracy": 0.9}, "/last_accuracy", "0.9 was given; the end of the curve is 0.8100"),
        ({"matrix": MATRIX}, "/curve/0", "0.99 after task 0 contradicts the matrix, which gives 1.0000"),
        (
            {"curve": None, "matrix": MATRIX[:3]},
            "/matrix",
            "rows of 1, 2, 3 values were given; the track's 5 tasks need rows of 1 … 5",
        ),
        (
            {"curve": None, "matrix": MATRIX, "forgetting": 0.1},
            "/forgetting",
            "0.1 was given; the forgetting of the matrix is 0.2750",
        ),
        ({"method": "icral"}, "/method", "unknown method 'icral'; known: "),
        ({"link": "javascript:alert(1)"}, "/link", "'javascript:alert(1)' is not an http or https address"),
        ({"track": "nosuch-b0-inc2-m50-convnet"}, "/track/dataset", "unknown dataset 'nosuch'; known: "),
        ({"ranked": True}, "/ranked", "unknown field 'ranked'"),
        ({"title": "two\nlines"}, "/title", "character 4 is U+000A"),
        ({"citation": "\u202efdp"}, "/citation", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ({"title": "\u3000"}, "/title", "it is blank"),
        ({"seeds": True}, "/seeds", "valid integer"),
    ],
)
def test_a_contradiction_is_refused_with_both_numbers(reporter, change, pointer, complaint):
    answer = reporter.post("/api/v1/results", json={**RESULT, **change})
    assert answer.status_code == 422
    assert [
        fault["detail"]
        for fault in answer.json()["errors"]
        if fault["pointer"] == pointer and complaint in fault["detail"]
    ], answer.json()
    assert reporter.get("/api/v1/results").json()["items"] == []


def test_an_invalid_value_in_a_list_of_one_is_one_error(reporter):
    answer = reporter.post("/api/v1/results", json={**RESULT, "curve": [2.0]})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/curve/0"]


def test_reporting_needs_its_own_scope_and_the_same_key_reports_once(client, reporter, service):
    _, jobs_only = service.add_user("bob")
    assert (
        client.post(
            "/api/v1/results", json=RESULT, headers={"Authorization": f"Bearer {jobs_only}"}
        ).status_code
        == 403
    )
    key = {"Idempotency-Key": "once"}
    first, again = (reporter.post("/api/v1/results", json=RESULT, headers=key) for _ in range(2))
    assert (first.json(), first.headers["Idempotency-Replayed"], again.headers["Idempotency-Replayed"]) == (
        again.json(),
        "false",
        "true",
    )
    other = reporter.post("/api/v1/results", json={**RESULT, "title": "else"}, headers=key)
    assert other.json()["type"] == "/problems/idempotency-key-reused"


def test_only_the_reporter_or_an_administrator_withdraws_a_result(reporter, service):
    made = reporter.post("/api/v1/results", json=RESULT).json()
    path = f"/api/v1/results/{made['id']}"
    _, bob = service.add_user("bob", ("results:write",))
    tag = reporter.get(f"/api/v1/leaderboards/{TRACK}").headers["ETag"]
    assert reporter.delete(path, headers={"Authorization": f"Bearer {bob}"}).status_code == 403
    assert reporter.delete(path).json() == made
    assert reporter.get(path).status_code == 404
    assert (
        reporter.get(f"/api/v1/leaderboards/{TRACK}", headers={"If-None-Match": tag}).json()["reported"] == []
    )


def test_results_come_in_pages_the_newest_first(reporter):
    titles = [f"method {number}" for number in range(5)]
    for title in titles:
        reporter.post("/api/v1/results", json={**RESULT, "title": title})
    found, address = [], "/api/v1/results?limit=2"
    while address:
        page = reporter.get(address)
        found += [item["title"] for item in page.json()["items"]]
        address = page.links.get("next", {}).get("url")
    assert found == titles[::-1]
    assert (
        reporter.get("/api/v1/results", params={"track": "cifar100-b0-inc10-m2000-resnet32"}).json()["items"]
        == []
    )
    assert (
        reporter.get("/api/v1/results", params={"cursor": "made up"}).json()["type"]
        == "/problems/invalid-cursor"
    )
