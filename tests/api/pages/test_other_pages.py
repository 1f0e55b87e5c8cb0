"""Runs, jobs, methods, datasets and workers as pages."""

from __future__ import annotations

import pytest

from cil_core.catalog import BACKBONES, DATASETS
from cil_core.recipes import BY_NAME, RECIPES
from store import runs


def page(client, path):
    answer = client.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), answer.text
    return answer.text


def test_a_run_is_followed_from_the_queue_to_its_result(client, service, a_job):
    job = client.post("/api/v1/jobs", json=a_job(seeds=(7,))).json()
    run_id = job["runs"][0]["id"]
    queued = page(client, f"/runs/{run_id}")
    assert "It waits for a worker" in queued
    assert 'data-hx-trigger="every' in queued
    assert 'data-hx-trigger="every' in page(client, f"/jobs/{job['id']}")
    assert service.complete_all() == 1
    done = page(client, f"/runs/{run_id}")
    assert 'data-hx-trigger="every' not in done
    answer = client.get(f"/api/v1/runs/{run_id}").json()["classifiers"]["linear"]
    assert f"{100 * answer['summary']['average_accuracy']:.2f}" in done
    assert done.count('<td class="heat-') == 15 * len(client.get(f"/api/v1/runs/{run_id}").json()["classifiers"])
    assert f'<a href="/runs/{run_id}">7</a>' in page(client, f"/jobs/{job['id']}")


def test_a_lost_attempt_is_told_with_its_reason(client, service, a_job):
    run_id = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"][0]["id"]
    claim = service.claim()
    with service.database.transaction() as session:
        runs.fail(session, claim, runs.FailureClass.infrastructure, "killed by SIGKILL <b>", {})
    assert "killed by SIGKILL &lt;b&gt;" in page(client, f"/runs/{run_id}")
    assert "killed by SIGKILL &lt;b&gt;" in page(client, "/workers")


def test_workers_and_what_waits_are_shown(client, service, a_job):
    assert "No worker was heard of" in page(client, "/workers")
    with service.database.transaction() as session:
        runs.register_worker(session, runs.WorkerOffer("worker-1", "cil", "cuda:0", None), {"device_name": "NVIDIA H200"})
    client.post("/api/v1/jobs", json=a_job(seeds=(1, 2)))
    text = page(client, "/workers")
    assert "worker-1" in text
    assert "NVIDIA H200" in text
    assert "2 queued, 2 ready" in text


@pytest.mark.parametrize("name", BY_NAME)
def test_every_method_has_a_page_with_all_its_knobs_and_its_paper(finished, name):
    recipe, text = BY_NAME[name], page(finished, f"/methods/{name}")
    assert all(f"<code>{knob}</code>" in text for knob in recipe.model_fields if knob != "name")
    assert recipe.citation is None or recipe.citation.key in text


def test_a_method_shows_its_results_and_an_unknown_one_the_known_ones(finished):
    assert "/tracks/digits-b0-inc2-m50-convnet" in page(finished, "/methods/icarl")
    assert "It has not run here yet" in page(finished, "/methods/podnet")
    answer = finished.get("/methods/nope", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "icarl" in answer.text


def test_everything_of_the_catalogue_is_listed(finished):
    listed = page(finished, "/methods")
    assert all(f'href="/methods/{recipe.model_fields["name"].default}"' in listed for recipe in RECIPES)
    text = page(finished, "/datasets")
    assert all(card.title in text for card in DATASETS.values())
    assert all(name in text for name in BACKBONES)


@pytest.mark.parametrize("path", ["/runs/run_00000000000000000000000000", "/jobs/job_00000000000000000000000000", "/runs/x"])
def test_what_is_not_there_is_told_as_a_page(finished, path):
    answer = finished.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "text/html" in answer.headers["content-type"]
