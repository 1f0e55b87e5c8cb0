"""Methods, datasets, backbones, workers, health, and the OpenAPI document."""

from __future__ import annotations

import jsonschema_rs
import pytest

from api.settings import Settings
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.recipes import BY_NAME, RECIPES
from store import runs
from store.database.states import FailureClass
from store.datasets import register_dataset


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestCatalogue:
    def test_every_method_is_listed_with_its_card(self, client):
        items = client.get("/api/v1/methods").json()["items"]
        assert [item["name"] for item in items] == [recipe.model_fields["name"].default for recipe in RECIPES]
        icarl = next(item for item in items if item["name"] == "icarl")
        assert (icarl["title"], icarl["citation"]["year"], icarl["classifiers"]) == (
            "iCaRL",
            2017,
            ["nme", "linear"],
        )
        assert icarl["citation"]["bibtex"].startswith("@inproceedings{rebuffi2017icarl,")

    @pytest.mark.parametrize("name", BY_NAME)
    def test_a_method_s_defaults_and_presets_can_be_submitted_and_fit_its_schema(self, client, name):
        card = client.get(f"/api/v1/methods/{name}").json()
        for values in (card["defaults"], *card["preset_values"].values()):
            jsonschema_rs.validate(card["json_schema"], values)
            assert BY_NAME[name].model_validate(values).name == name

    def test_an_unknown_method_is_answered_with_the_known_ones(self, client):
        answer = client.get("/api/v1/methods/nope")
        assert (answer.status_code, "icarl" in answer.json()["detail"]) == (404, True)

    def test_datasets_and_backbones_are_listed(self, client):
        assert {item["name"] for item in client.get("/api/v1/datasets").json()["items"]} == set(DATASETS)
        assert {item["name"] for item in client.get("/api/v1/backbones").json()["items"]} == set(BACKBONES)

    def test_a_dataset_is_read_with_the_numbers_and_images_of_its_classes(self, client, service):
        folder = DATASETS["digits"].model_copy(
            update={"name": "folder:birds", "class_names": tuple("abcdefghij"), "warnings": ("copies",)}
        )
        with service.database.transaction() as session:
            register_dataset(session, folder, "a" * 64)
        answer = client.get("/api/v1/datasets/folder:birds").json()
        assert answer["numbering"][3] == {"number": 3, "name": "d", "train": 146, "test": 37}
        assert (answer["warnings"], len(answer["numbering"])) == (["copies"], 10)
        unnamed = client.get("/api/v1/datasets/cifar100").json()["numbering"][99]
        assert unnamed == {"number": 99, "name": None, "train": 500, "test": 100}
        uncounted = client.get("/api/v1/datasets/imagenet1000").json()["numbering"][999]
        assert uncounted == {"number": 999, "name": None, "train": None, "test": None}
        assert client.get("/api/v1/datasets/folder:none").status_code == 404

    def test_an_explicit_order_of_names_is_the_order_of_their_numbers(self, client, service, a_job):
        folder = DATASETS["digits"].model_copy(
            update={"name": "folder:birds", "class_names": tuple("jihgfedcba")}
        )
        with service.database.transaction() as session:
            register_dataset(session, folder, "a" * 64)

        def submitted(order):
            track = {
                "dataset": "folder:birds",
                "protocol": {"first": 2, "increment": 2, "class_order": order},
                "memory": {"kind": "total", "amount": 50},
                "backbone": "convnet",
            }
            return client.post("/api/v1/jobs", json={**a_job(seeds=(1,)), "track": track}).json()

        by_number = submitted([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
        for order in (list("abcdefghij"), ["a", 8, "c", 6, "e", 4, "g", 2, "i", 0]):
            by_name = submitted(order)
            assert by_name["track"] == by_number["track"]
            assert by_name["runs"][0]["id"] == by_number["runs"][0]["id"]
        for order, complaint in (
            (list("abcdefghix"), "'x' is no class of folder:birds; its classes are j, i, h"),
            (["a", 9, *"bcdefghi"], "it must name each of the 10 classes of folder:birds once"),
            (list("abc"), "it must name each of the 10 classes of folder:birds once"),
        ):
            refused = submitted(order)
            assert refused["status"] == 422
            assert complaint in refused["errors"][0]["detail"]
            assert refused["errors"][0]["pointer"] == "/track/protocol/class_order"

    def test_catalogue_routes_take_no_parameters(self, client):
        for path in ("methods", "methods/icarl", "datasets", "backbones", "workers", "tracks"):
            answer = client.get(f"/api/v1/{path}?x=1")
            assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "x")


def test_workers_are_listed_with_the_runs_they_hold(client, service, a_job):
    with service.database.transaction() as session:
        runs.register_worker(
            session, runs.WorkerOffer("worker-1", "cil", "cpu", frozenset({"digits"})), {"host": "here"}
        )
    run = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"][0]["id"]
    service.claim()
    (worker,) = client.get("/api/v1/workers").json()["items"]
    assert (worker["id"], worker["datasets"], worker["runs"], worker["info"]) == (
        "worker-1",
        ["digits"],
        [run],
        {"host": "here"},
    )
    (lease,) = worker["leases"]
    assert (lease["run_id"], lease["attempt"], lease["seed"], lease["cancel_requested"]) == (run, 1, 1, False)
    assert 0 < lease["seconds_left"] <= 3600


def test_queues_show_their_age_and_retries_their_reason(client, service, a_job):
    first = client.post("/api/v1/jobs", json=a_job(seeds=(1, 2))).json()["runs"][0]["id"]
    claim = service.claim()
    with service.database.transaction() as session:
        runs.fail(session, claim, FailureClass.infrastructure, "killed by SIGKILL", {})
    answer = client.get("/api/v1/workers").json()
    (queue,) = answer["queues"]
    assert (queue["name"], queue["length"], queue["ready"]) == ("cil", 2, 1)
    assert queue["oldest_seconds"] >= 0
    (setback,) = answer["setbacks"]
    assert (setback["run_id"], setback["attempts"]) == (first, 1)
    assert "killed by SIGKILL" in setback["reason"]
    assert 0 < setback["seconds_left"] <= 5


def test_a_service_with_its_database_is_live_and_ready(client):
    assert [client.get(path).json()["status"] for path in ("/livez", "/readyz")] == ["ok", "ok"]


def test_a_database_without_a_schema_is_not_ready(empty_database_url, serve, service_bare):
    with serve(service_bare(Settings(database_url=empty_database_url))) as served, served.client() as client:
        answer = client.get("/readyz")
        assert (answer.status_code, client.get("/livez").status_code) == (503, 200)
        assert "revision None" in answer.json()["detail"]


def test_without_a_database_the_service_is_live_and_not_ready(serve, service_bare, a_job):
    with (
        serve(
            service_bare(Settings(database_url="postgresql+psycopg://nobody@127.0.0.1:1/nothing"))
        ) as served,
        served.client() as client,
    ):
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        for answer in (
            client.get("/api/v1/jobs"),
            client.get("/"),
            client.post("/api/v1/jobs", json=a_job(), headers={"Authorization": "Bearer cil_" + "0" * 72}),
        ):
            assert (answer.status_code, answer.headers.get("Retry-After")) in {(503, "5"), (401, None)}
            assert "127.0.0.1" not in answer.text
