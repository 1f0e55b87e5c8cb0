"""Runs, jobs, methods, datasets and workers as pages."""

from __future__ import annotations

import pytest

from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.events import EpochFinished
from cil_core.spec.recipes import BY_NAME, RECIPES
from store import runs
from store.datasets import register_dataset


def page(client, path):
    answer = client.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), (
        answer.text
    )
    return answer.text


def words(text):
    return " ".join(text.split())


def test_a_run_is_followed_from_the_queue_to_its_result(client, service, a_job):
    job = client.post("/api/v1/jobs", json=a_job(seeds=(7,))).json()
    run_id = job["runs"][0]["id"]
    queued = page(client, f"/runs/{run_id}")
    assert "The run waits for a worker" in queued
    assert 'data-hx-trigger="news, every' in queued
    assert f'data-events="/api/v1/jobs/{job["id"]}/events"' in page(client, f"/jobs/{job['id']}")
    assert service.complete_all() == 1
    done = page(client, f"/runs/{run_id}")
    assert 'data-hx-trigger="' not in done
    assert "data-events" not in done
    answer = client.get(f"/api/v1/runs/{run_id}").json()["classifiers"]["linear"]
    assert f"{100 * answer['summary']['average_accuracy']:.2f}" in done
    assert done.count('<td class="heat-') == 15 * len(
        client.get(f"/api/v1/runs/{run_id}").json()["classifiers"]
    )
    assert f'<a href="/runs/{run_id}">7</a>' in page(client, f"/jobs/{job['id']}")


def test_a_queued_job_says_why_it_waits_and_for_how_long(client, service, a_job):
    first, second = (
        client.post("/api/v1/jobs", json=a_job(seeds=seeds)).json()["id"] for seeds in ((1,), (2, 3))
    )
    assert "No worker is online; the run starts when one connects." in page(client, f"/jobs/{second}")
    with service.database.transaction() as session:
        runs.register_worker(session, runs.WorkerOffer("worker-1", "cil", "cpu", None), {})
    assert "1 worker is online." in page(client, f"/jobs/{second}")
    service.complete(service.claim())
    client.post("/api/v1/jobs", json=a_job(seeds=(4,)))
    assert "1 worker is online; runs of the last hour took " in page(client, f"/jobs/{second}")
    service.complete_all()
    assert "worker is online" not in page(client, f"/jobs/{second}")
    assert client.get(f"/api/v1/jobs/{first}").json()["queue_position"] is None


def test_a_lost_attempt_has_its_reason(client, service, a_job):
    run_id = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"][0]["id"]
    claim = service.claim()
    with service.database.transaction() as session:
        runs.fail(session, claim, runs.FailureClass.infrastructure, "killed by SIGKILL <b>", {})
    assert "killed by SIGKILL &lt;b&gt;" in page(client, f"/runs/{run_id}")
    assert "killed by SIGKILL &lt;b&gt;" in page(client, "/workers")


def test_workers_and_queues_are_shown(client, service, a_job):
    assert "No worker sent a heartbeat" in page(client, "/workers")
    with service.database.transaction() as session:
        runs.register_worker(
            session, runs.WorkerOffer("worker-1", "cil", "cuda:0", None), {"device_name": "NVIDIA H200"}
        )
    client.post("/api/v1/jobs", json=a_job(seeds=(1, 2)))
    text = page(client, "/workers")
    assert "worker-1" in text
    assert "NVIDIA H200" in text
    assert "2 queued, 2 ready" in text


@pytest.mark.parametrize("name", BY_NAME)
def test_every_method_has_a_page_with_its_hyperparameters_and_paper(finished, name):
    recipe, text = BY_NAME[name], page(finished, f"/methods/{name}")
    assert all(f"<code>{field}</code>" in text for field in recipe.model_fields if field != "name")
    assert recipe.citation is None or recipe.citation.key in text


def test_a_method_shows_its_results_and_an_unknown_one_the_known_ones(finished):
    assert "/tracks/digits-b0-inc2-m50-convnet" in page(finished, "/methods/icarl")
    assert "No run of this method has finished" in page(finished, "/methods/podnet")
    answer = finished.get("/methods/nope", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "icarl" in answer.text


def test_the_whole_catalogue_is_listed(finished):
    listed = page(finished, "/methods")
    assert all(f'href="/methods/{recipe.model_fields["name"].default}"' in listed for recipe in RECIPES)
    text = page(finished, "/datasets")
    assert all(card.title in text for card in DATASETS.values())
    assert all(name in text for name in BACKBONES)


@pytest.mark.parametrize(
    "path", ["/runs/run_00000000000000000000000000", "/jobs/job_00000000000000000000000000", "/runs/x"]
)
def test_an_unknown_identifier_is_answered_with_a_page(finished, path):
    answer = finished.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "text/html" in answer.headers["content-type"]


def test_ranks_over_tracks_are_drawn_with_their_critical_difference(client, service, a_job):
    tracks = ("digits-b0-inc2-m50-convnet", "digits-b0-inc2-m100-convnet")
    for track in tracks:
        for method in ("replay", "icarl", "wa"):
            client.post("/api/v1/jobs", json=a_job(method, (1, 2, 3), track))
    service.complete_all()
    address = "/ranks?" + "&".join(f"track={track}" for track in tracks)
    text = page(client, address)
    answer = client.get("/api/v1/compare/tracks", params={"track": tracks}).json()["ranking"]
    assert f"critical difference {answer['critical_difference']:.2f}" in text
    assert all(
        f"{name}  {rank:.2f}" in text
        for name, rank in zip(answer["names"], answer["average_ranks"], strict=True)
    )
    assert client.get(address.replace("?", "/ranks.csv?")).text.startswith("method,average rank\r\n")
    assert 'action="/ranks"' in page(client, "/")


def test_the_losses_of_a_run_are_drawn_while_it_runs_and_afterwards(client, service, a_job):
    run_id = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"][0]["id"]
    claim = service.claim()
    service.start(claim)
    for epoch, loss in enumerate((2.0, 1.0, 0.5)):
        event = EpochFinished(
            task=0, phase="train", epoch=epoch, epochs=9, lr=0.1, losses={"ce": loss, "kd": 0.25}
        )
        with service.database.transaction() as session:
            runs.record(session, claim, event)
    text = page(client, f"/runs/{run_id}")
    assert "task 1 of 5, phase train, epoch 3 of 9" in text
    assert (
        client.get(f"/runs/{run_id}/losses.csv").text
        == "recorded epochs,loss\r\n1.0,2.25\r\n2.0,1.25\r\n3.0,0.75\r\n"
    )


def test_a_run_and_its_replay_link_to_each_other(client, service, a_job):
    run_id = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"][0]["id"]
    service.complete_all()
    again = client.post(f"/api/v1/runs/{run_id}/replay").json()["runs"][0]["id"]
    assert f'<a href="/runs/{again}">A replay</a> is in progress.' in words(page(client, f"/runs/{run_id}"))
    service.complete_all()
    assert "reproduced every count." in page(client, f"/runs/{run_id}")
    assert f'This run is a replay of <a href="/runs/{run_id}">' in page(client, f"/runs/{again}")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_pages_work_without_redis_and_say_so(service_of, client_of):
    with client_of(service_of(redis_url="redis://127.0.0.1:1/0")) as client:
        assert "Redis does not answer" in page(client, "/")
        assert client.get("/api/v1/jobs").status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_working_redis_is_not_mentioned(service_of, client_of, redis_url):
    with client_of(service_of(redis_url=redis_url)) as client:
        assert "Redis does not answer" not in page(client, "/")


def test_a_dataset_has_a_page_with_its_classes_and_warnings(client, service):
    folder = DATASETS["digits"].model_copy(
        update={"name": "folder:birds", "class_names": ("<b>", *"bcdefghij"), "warnings": ("2 copies",)}
    )
    with service.database.transaction() as session:
        register_dataset(session, folder, "a" * 64)
    shown = page(client, "/datasets/folder:birds")
    assert '<th scope="row">0</th>\n<td class="left">&lt;b&gt;</td>\n<td>142</td>\n<td>36</td>' in shown
    assert "<strong>Warning:</strong> 2 copies." in shown
    assert 'href="/datasets/folder:birds"' in page(client, "/datasets")
