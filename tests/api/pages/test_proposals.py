"""What pages propose to submit: it fits what is read about, and is accepted as it is printed."""

from __future__ import annotations

import json
import re
import shlex
from html import unescape

import pytest

from cil_core.spec.presets import PRESETS
from cil_core.spec.recipes import BY_NAME


@pytest.fixture
def token(service):
    return service.token


def proposed(client, path):
    """The job of the curl line on a page, which must be that of the command beside it."""
    page = client.get(path, headers={"Accept": "text/html"}).text
    curl, command = (
        unescape(line)
        for line in re.findall(r"<pre tabindex=\"0\"><code>((?:curl|cil) .*?)</code></pre>", page, re.DOTALL)
    )
    words = shlex.split(curl.replace("\\\n", " "))
    job = json.loads(words[words.index("-d") + 1])
    options = dict(zip(words := shlex.split(command)[2:], words[1:], strict=False))
    assert (options["--method"], options["--track"], options["--seeds"]) == (
        job["method"]["name"],
        job["track"],
        ",".join(map(str, job["seeds"])),
    )
    assert options.get("--preset") == job["method"].get("preset")
    return job


def accepted(client, token, job):
    return (
        client.post("/api/v1/jobs", json=job, headers={"Authorization": f"Bearer {token}"}).status_code == 202
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_a_method_that_has_not_run_is_proposed_itself(client, token, name):
    job = proposed(client, f"/methods/{name}")
    assert job["method"] == {"name": name, "preset": "small"}
    assert accepted(client, token, job)


@pytest.mark.parametrize("slug", PRESETS)
def test_a_track_without_results_gets_a_method_that_fits_with_a_schedule_for_its_data(client, token, slug):
    job = proposed(client, f"/tracks/{slug}")
    assert job["track"] == slug
    assert job["method"].get("preset") == ("small" if slug.startswith("digits-") else None)
    assert BY_NAME[job["method"]["name"]].uses_memory == ("-m0-" not in slug)
    assert accepted(client, token, job)


def test_the_form_begins_with_what_fits_its_track(client):
    page = client.get(
        "/submit", params={"track": "cifar100-b0-inc10-m0-resnet32"}, headers={"Accept": "text/html"}
    ).text
    assert '<option value="lwf" selected>' in page
    assert "preset small" not in page
    again = client.get(
        "/submit",
        params={"track": "cifar100-b0-inc10-m0-resnet32", "method": "icarl", "preset": "small"},
        headers={"Accept": "text/html"},
    ).text
    assert '<option value="icarl" selected>' in again
    assert "preset small" in again


def test_the_choices_of_a_leaderboard_wait_for_its_first_entry(client, finished):
    assert (
        "Classifier:"
        not in client.get("/tracks/cifar100-b0-inc10-m2000-resnet32", headers={"Accept": "text/html"}).text
    )
    assert (
        "Classifier:"
        in finished.get("/tracks/digits-b0-inc2-m50-convnet", headers={"Accept": "text/html"}).text
    )
