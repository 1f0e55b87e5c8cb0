"""Reading, listing and cancelling jobs; reading runs."""

from __future__ import annotations

import httpx
import pytest

from store.access import accounts


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["items"]]


@pytest.mark.parametrize("seed", [2**32, True, 1.0, "1", -1])
def test_one_invalid_seed_is_one_error(client, a_job, seed):
    answer = client.post("/api/v1/jobs", json=a_job() | {"seeds": [seed]})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/seeds/0"]


@pytest.mark.parametrize("name", ["", " ", "a\u2028b", "a\r\nb", "\x1b[2J", "\u202egnp.exe"])
def test_a_name_that_cannot_be_shown_on_one_line_is_refused(client, a_job, name):
    answer = client.post("/api/v1/jobs", json=a_job() | {"name": name})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]


def test_a_finished_run_has_metrics_matrices_and_environment(client, service, a_job):
    job = client.post("/api/v1/jobs", json=a_job("icarl", (4,))).json()
    service.complete_all()
    run = client.get(f"/api/v1/runs/{job['runs'][0]['id']}").json()
    assert (run["state"], run["method"], run["seed"], run["environment"]) == (
        "succeeded",
        "icarl",
        4,
        {"python": "3.11"},
    )
    assert run["task_sizes"] == [2] * 5
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["succeeded"]
    nme = run["classifiers"]["nme"]
    assert (nme["ranks"], run["classifiers"]["linear"]["ranks"]) == (True, False)
    assert [len(row) for row in nme["correct"]] == [1, 2, 3, 4, 5]
    assert nme["summary"]["last_accuracy"] == pytest.approx(sum(nme["correct"][-1]) / sum(nme["test_images"]))
    assert [task["seen"] for task in run["tasks"]] == [2, 4, 6, 8, 10]
    assert (run["tasks"][0]["seconds"], run["tasks"][0]["footprint"]["exemplars"]) == (2.5, 50)


def test_an_unfinished_run_has_its_results_so_far(client, service, a_job):
    job = client.post("/api/v1/jobs", json=a_job("icarl", (4,))).json()
    claim = service.claim()
    service.start(claim)
    service.evaluate(claim, 0)
    run = client.get(f"/api/v1/runs/{job['runs'][0]['id']}").json()
    assert (run["state"], run["worker"], len(run["tasks"])) == ("running", "worker-1", 1)
    assert run["classifiers"]["nme"]["summary"] is None


def test_a_failed_run_has_its_reason(client, service, a_job):
    location = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).headers["Location"]
    service.fail(service.claim(), "the loss became NaN in task 2, epoch 7")
    job = client.get(location).json()
    (run,) = job["runs"]
    assert (job["state"], run["state"], run["failure"]) == ("failed", "failed", "diverged")
    assert run["attempts"][0]["message"] == run["message"] == "the loss became NaN in task 2, epoch 7"
    assert run["attempts"][0]["evidence"] == {"withheld": ["log"]}
    assert run["average_accuracy"] is None


def test_only_submitters_and_administrators_see_log_lines(client, service, a_job):
    (run,) = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"]
    service.fail(service.claim(), "it broke")
    path = f"/api/v1/runs/{run['id']}"

    def seen(token: str | None) -> object:
        answer = httpx.get(
            client.base_url.join(path),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            trust_env=False,
        )
        assert answer.status_code == 200
        return answer.json()["attempts"][0]["evidence"]

    with service.database.transaction() as session:
        other = accounts.issue_token(
            session, accounts.create_user(session, "other").id, "other", [accounts.Scope.jobs_write]
        ).plain
        admin = accounts.issue_token(
            session,
            accounts.create_user(session, "admin", accounts.Role.admin).id,
            "admin",
            [accounts.Scope.admin],
        ).plain
    whole, part = {"log": ["last line"]}, {"withheld": ["log"]}
    assert [seen(token) for token in (service.token, admin, other, None)] == [whole, whole, part, part]
    refused = httpx.get(
        client.base_url.join(path), headers={"Authorization": "Bearer cil_wrong"}, trust_env=False
    )
    assert refused.status_code == 401
    assert (
        client.get(path).headers["ETag"]
        != httpx.get(client.base_url.join(path), trust_env=False).headers["ETag"]
    )


@pytest.mark.parametrize(
    "path",
    [
        "jobs/job_" + "0" * 26,
        "jobs/nonsense",
        "jobs/%00",
        "runs/run_" + "0" * 26,
        "runs/..%2f..%2fetc",
        "tracks/x",
        "nothing/here",
    ],
)
def test_an_unknown_identifier_is_not_found(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["type"] == "/problems/not-found"


def test_an_unsupported_method_lists_the_allowed_ones(client):
    answer = client.delete("/api/v1/jobs")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert answer.json()["type"] == "/problems/method-not-allowed"


def test_jobs_are_listed_the_newest_first_page_by_page(client, a_job):
    submitted = [client.post("/api/v1/jobs", json=a_job(seeds=(seed,))).json()["id"] for seed in range(5)]
    seen, url = [], "/api/v1/jobs?limit=2"
    while url:
        answer = client.get(url)
        seen += ids(answer)
        assert ("next" in answer.links) == (answer.json()["next_cursor"] is not None)
        url = answer.links.get("next", {}).get("url")
    assert seen == submitted[::-1]


def test_jobs_are_filtered(client, service, a_job):
    _, other = service.add_user("grace")
    done = client.post("/api/v1/jobs", json=a_job("lwf", (1,))).json()["id"]
    service.complete_all()
    waiting = client.post("/api/v1/jobs", json=a_job("icarl", (1,), "digits-b0-inc5-m50-convnet")).json()[
        "id"
    ]
    hers = client.post(
        "/api/v1/jobs", json=a_job("icarl", (2,)), headers={"Authorization": f"Bearer {other}"}
    ).json()
    assert ids(client.get("/api/v1/jobs?state=succeeded")) == [done]
    assert ids(client.get("/api/v1/jobs?method=icarl")) == [hers["id"], waiting]
    assert ids(client.get("/api/v1/jobs?track=digits-b0-inc5-m50-convnet&state=queued")) == [waiting]
    assert ids(client.get("/api/v1/jobs", params={"user": hers["user_id"]})) == [hers["id"]]
    assert ids(client.get("/api/v1/jobs?created_after=2999-01-01T00:00:00Z")) == []


BAD_QUERIES = {
    "state=bogus": "state",
    "limit=0": "limit",
    "limit=1000": "limit",
    "limit=1&limit=2": "limit",
    "page=2": "page",
    "created_after=yesterday": "created_after",
    "created_after=2026-01-01T00:00:00": "created_after",
    "created_after=0001-01-01T00:00:00%2B14:00": "created_after",
    "created_after=9999-12-31T23:59:59-14:00": "created_after",
    "method=%00": "method",
    "cursor=made-up": "cursor",
}


def test_bad_queries_are_refused_by_name(client):
    for query, parameter in BAD_QUERIES.items():
        answer = client.get(f"/api/v1/jobs?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, parameter), query


def test_a_changed_cursor_or_one_of_another_list_is_refused(client, a_job):
    for seed in (1, 2):
        client.post("/api/v1/jobs", json=a_job(seeds=(seed,)))
    cursor = client.get("/api/v1/jobs?limit=1").json()["next_cursor"]
    changed = [
        {"cursor": cursor[:at] + ("x" if cursor[at] != "x" else "y") + cursor[at + 1 :]}
        for at in (0, 40, len(cursor) - 1)
    ]
    for query in (*changed, {"cursor": cursor[32:]}, {"cursor": cursor, "method": "replay"}):
        answer = client.get("/api/v1/jobs", params=query)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-cursor")
    assert client.get("/api/v1/jobs", params={"cursor": cursor}).status_code == 200


def test_a_waiting_job_is_cancelled_at_once_and_only_once(client, service, a_job):
    path = client.post("/api/v1/jobs", json=a_job()).headers["Location"] + "/cancellation"
    first = client.post(path)
    assert (first.status_code, first.json()["state"]) == (202, "cancelled")
    again = client.post(path)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/already-terminal")
    assert service.claim() is None


def test_cancellation_is_requested_of_a_running_job(client, service, a_job):
    path = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).headers["Location"] + "/cancellation"
    service.start(service.claim())
    answers = [client.post(path), client.post(path)]
    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(202, "running")] * 2
    assert answers[0].json()["runs"][0]["cancel_requested"] is True


def test_cancelling_an_unknown_job_is_not_found(client):
    assert client.post("/api/v1/jobs/job_" + "0" * 26 + "/cancellation").status_code == 404
