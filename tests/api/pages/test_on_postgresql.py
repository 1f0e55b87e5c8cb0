"""Every page on PostgreSQL; the other tests of pages run on SQLite."""

from __future__ import annotations

from typing import Any

from cil_core.spec.events import EpochFinished
from store import runs
from store.database.session import Database

TRACKS = ("digits-b0-inc2-m50-convnet", "digits-b0-inc2-m100-convnet")
PAGES = (
    "/",
    "/jobs?user=ada&state=succeeded",
    "/compare",
    "/methods",
    "/methods/icarl",
    "/datasets",
    "/datasets/digits",
    "/workers",
    "/api",
)


def test_every_page_opens(postgresql_url, databases, serving_of, a_job, service_on):
    with databases.opened(postgresql_url) as database:
        service = service_on(database)
        with serving_of(service) as served, served.client() as client:
            for track in TRACKS:
                for method in ("replay", "icarl"):
                    job = client.post("/api/v1/jobs", json=a_job(method, (1, 2, 3), track)).json()
            run_with_an_epoch(service, database)
            service.complete_all()
            client.post(f"/api/v1/runs/{job['runs'][0]['id']}/replay")
            board = client.get(f"/api/v1/leaderboards/{TRACKS[0]}").json()["items"]
            statuses = {
                address: client.get(address, headers={"Accept": "text/html"}).status_code
                for address in (*PAGES, *pages_of(job, [entry["id"] for entry in board]))
            }
    assert set(statuses.values()) == {200}, statuses


def pages_of(job: dict[str, Any], entries: list[str]) -> list[str]:
    """Addresses of the pages that show the job, the entries or the tracks."""
    run = job["runs"][0]["id"]
    compared = "&".join(f"entry={entry}" for entry in entries)
    return [
        f"/tracks/{TRACKS[0]}",
        f"/tracks/{TRACKS[0]}/pareto.svg",
        f"/compare?{compared}",
        "/ranks?" + "&".join(f"track={track}" for track in TRACKS),
        f"/runs/{run}",
        f"/runs/{run}/curves.csv",
        f"/jobs/{job['id']}",
        f"/submit?job={job['id']}",
    ]


def run_with_an_epoch(service, database: Database) -> None:
    """A run that recorded an epoch and then finished."""
    claim = service.claim()
    service.start(claim)
    with database.transaction() as session:
        runs.record(
            session,
            claim,
            EpochFinished(task=0, phase="train", epoch=0, epochs=1, lr=0.1, losses={"ce": 1.0}),
        )
    for task in range(5):
        service.evaluate(claim, task)
    service.finish(claim)
