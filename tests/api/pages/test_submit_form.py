"""Submitting and cancelling by forms, without scripts."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from cil_core.spec.recipes import BY_NAME

TRACK = "digits-b0-inc2-m50-convnet"


@pytest.fixture
def token(service):
    return service.token


def send(client, **fields):
    given = {
        "method": "icarl",
        "preset": "small",
        "track": TRACK,
        "seeds": "1, 2",
        "name": "",
        "action": "submit",
        **fields,
    }
    return client.post("/submit", data=given, headers={"Accept": "text/html"}, follow_redirects=False)


def shown_body(page: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        unescape(re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code></pre>", page, re.DOTALL)[0])
    )
    return found


@pytest.mark.parametrize("name", BY_NAME)
def test_every_method_has_a_form_with_all_its_fields(client, name):
    answer = client.get("/submit", params={"method": name}, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    for field in BY_NAME[name].model_fields:
        assert field == "name" or f'name="recipe.{field}"' in answer.text
    assert shown_body(answer.text)["method"] == {"name": name, "preset": "small"}


def test_a_job_is_submitted_and_shown(client, token):
    answer = send(
        client, token=token, **{"recipe.temperature": "3.5", "recipe.nme_flip": "true"}, name="by form"
    )
    assert answer.status_code == 303
    job = client.get(f"/api/v1{answer.headers['location']}").json()
    assert (job["name"], [run["seed"] for run in job["runs"]], job["track"]) == ("by form", [1, 2], TRACK)
    assert (job["spec"]["method"]["temperature"], job["spec"]["method"]["nme_flip"]) == (3.5, True)
    assert job["spec"]["method"]["first_task"] == BY_NAME["icarl"].from_preset("small").first_task.model_dump(
        mode="json"
    )


def form_id(page: str) -> str:
    (found,) = re.findall(r'<input type="hidden" name="submission" value="(\w+)">', page)
    return str(found)


def test_a_form_sent_twice_makes_one_job(client, token):
    form = form_id(client.get("/submit").text)
    first, second = (send(client, token=token, submission=form) for _ in range(2))
    assert first.headers["location"] == second.headers["location"]
    assert len(client.get("/api/v1/jobs").json()["items"]) == 1


def test_a_form_sent_again_with_other_content_makes_another_job(client, token):
    form = form_id(client.get("/submit").text)
    first, second = (send(client, token=token, submission=form, seeds=seeds) for seeds in ("1", "2"))
    assert first.headers["location"] != second.headers["location"]


def test_each_form_has_its_own_id_and_keeps_it_while_it_is_checked(client):
    form = form_id(client.get("/submit").text)
    assert form_id(client.get("/submit").text) != form
    assert form_id(send(client, action="check", submission=form).text) == form


def test_checking_sends_nothing_and_shows_the_same_job_in_every_form(client):
    answer = send(client, action="check", **{"recipe.temperature": "3.5"})
    assert answer.status_code == 200
    assert shown_body(answer.text) == {
        "method": {"name": "icarl", "preset": "small", "temperature": 3.5},
        "track": TRACK,
        "seeds": [1, 2],
    }
    assert (
        f"cil submit --method icarl --track {TRACK} --seeds 1,2 --preset small --set temperature=3.5"
        in unescape(answer.text)
    )
    assert "curl -X POST" in answer.text
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_only_changed_values_of_a_schedule_are_sent(client):
    schedule = BY_NAME["icarl"].from_preset("small").first_task.model_dump(mode="json")
    answer = send(
        client,
        action="check",
        **{"recipe.first_task": json.dumps(schedule | {"epochs": 30, "milestones": [20, 27]})},
    )
    assert shown_body(answer.text)["method"] == {
        "name": "icarl",
        "preset": "small",
        "first_task": {"epochs": 30, "milestones": [20, 27]},
    }
    assert "--set first_task.epochs=30 --set 'first_task.milestones=[20, 27]'" in unescape(answer.text)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"recipe.temperature": "-1"}, "temperature: Input should be greater than"),
        ({"recipe.temperature": "warm"}, "temperature: Input should be a valid number"),
        ({"recipe.first_task": "{"}, "first_task: Input should be"),
        ({"seeds": "1, 1"}, "seeds: duplicate seeds: 1"),
        ({"seeds": ""}, "seeds: "),
        ({"seeds": "one"}, "seeds: Input should be a valid integer"),
        ({"track": "nowhere"}, "track: 'nowhere' is not a track slug"),
        ({"track": "nope-b0-inc2-m50-convnet"}, "track: unknown dataset 'nope'"),
        ({"track": "digits-b0-inc2-m5-convnet"}, "track: iCaRL needs at least 1 exemplar"),
        ({"name": "x" * 121}, "name: String should have at most 120 characters"),
        ({"preset": "nope"}, "method: preset 'nope' does not exist"),
        ({"token": ""}, "token: no token was sent"),
        ({"token": "cil_wrong"}, "token: the token is unknown, expired or revoked"),
    ],
)
def test_a_fault_is_shown_at_its_field_and_typed_text_stays(client, token, fields, says):
    answer = send(client, **{"token": token, **fields})
    assert answer.status_code == 422
    assert says in unescape(answer.text)
    (name,) = fields
    assert name in {"token", "preset"} or f'name="{name}"' in answer.text
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_a_job_is_edited_and_resubmitted(client, token):
    first = send(client, token=token, **{"recipe.temperature": "3.5"}).headers["location"].rpartition("/")[2]
    page = client.get("/submit", params={"job": first}, headers={"Accept": "text/html"}).text
    body = shown_body(page)
    assert (body["seeds"], body["track"], body["method"]["temperature"]) == ([1, 2], TRACK, 3.5)
    fields = dict(re.findall(r'<input id="(recipe\.\w+)" name="[^"]+" value="([^"]*)"', page))
    again = send(
        client,
        token=token,
        preset="",
        **{**{name: unescape(value) for name, value in fields.items()}, "recipe.temperature": "4"},
    )
    assert again.status_code == 303


def test_typed_text_is_never_markup(client):
    page = send(client, action="check", name='"><script>alert(1)</script>', track="<b>").text
    assert "<script>alert" not in page
    assert "<b>" not in page


def test_a_body_that_is_not_a_form_is_refused(client):
    assert client.post("/submit", json={}).status_code == 415


def test_a_job_is_cancelled_by_its_owner(client, token):
    address = send(client, token=token).headers["location"]
    assert "Cancel this job" in client.get(address, headers={"Accept": "text/html"}).text
    assert client.post(f"{address}/cancel", data={"token": "cil_wrong"}).status_code == 401
    answer = client.post(f"{address}/cancel", data={"token": token}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    assert client.get(f"/api/v1{address}").json()["state"] == "cancelled"
    assert client.post(f"{address}/cancel", data={"token": token}).status_code == 409
    assert "Cancel this job" not in client.get(address, headers={"Accept": "text/html"}).text


def test_the_cost_is_estimated_from_earlier_runs(client, token, service):
    send(client, token=token)
    service.complete_all()
    assert "2 runs; earlier runs of iCaRL on this track took" in send(client, action="check").text
