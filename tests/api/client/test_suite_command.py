"""`cil suite` against the real application."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

from cil_core.spec.suites import SUITES


@pytest.fixture
def working(service):
    """Completes every submitted run until the test is over."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            service.complete_all()
            time.sleep(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    yield
    over.set()
    worker.join()


def test_suites_are_listed_without_a_server(cil) -> None:
    assert "digits-quick" in cil("suite", "list").out
    assert {suite["name"] for suite in json.loads(cil("suite", "list", "--json").out)} == SUITES.keys()


def test_a_finished_suite_is_not_executed_again(connected, working) -> None:
    before = connected("suite", "show", "digits-orders")
    assert (
        before.code,
        "36 runs, 36 to execute; no estimate for 36 (recipes without a finished run here)" in before.out,
    ) == (0, True)
    done = connected("suite", "run", "digits-orders", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert len(answer["jobs"]) == 12
    assert answer["failures"] == []
    assert [board["slug"] for board in answer["leaderboards"]] == list(SUITES["digits-orders"].tracks)
    assert all(len(board["items"]) == 4 for board in answer["leaderboards"])
    assert json.loads(connected("suite", "show", "digits-orders", "--json").out)["finished"] == 36
    again = connected("suite", "run", "digits-orders")
    assert "36 runs, all of them finished" in again.err
    assert again.err.count("(as before)") == 12
    assert "digits-b0-inc2-m50-convnet-order1995" in again.out


def test_waiting_costs_one_list_for_all_jobs_and_one_request_per_ended_job(
    connected, served, service
) -> None:
    """23 jobs took 46 requests per second when each was polled."""

    def work() -> None:
        time.sleep(6)
        service.complete_all()

    worker = threading.Thread(target=work)
    began = time.monotonic()
    worker.start()
    assert connected("suite", "run", "digits-orders").code == 0
    worker.join()
    seconds = time.monotonic() - began
    with served.client() as client:
        counts = requests_by_route(client.get("/metrics").text)
    assert counts["/api/v1/jobs/{job_id}"] <= 12
    assert counts["/api/v1/jobs"] <= 3 * 12 + seconds  # submissions, and short pauses after each change


def requests_by_route(metrics: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for route, count in re.findall(
        r'^\w*requests_total\{[^}]*route="([^"]+)"[^}]*\} ([\d.e+]+)$', metrics, re.MULTILINE
    ):
        found[route] = found.get(route, 0) + float(count)
    return found


def test_the_cost_of_a_partly_finished_suite_is_estimated(connected, service) -> None:
    connected(
        "submit", "-m", "replay", "-t", "digits-b0-inc2-m50-convnet", "--preset", "small", "--seeds", "1993"
    )
    service.complete_all()
    price = json.loads(connected("suite", "show", "digits-orders", "--json").out)
    assert (price["runs"], price["finished"], price["unknown"]) == (36, 1, 33)
    assert price["seconds_left"] == pytest.approx(
        2 * 5 * 2, rel=0.5
    )  # two more seeds, at what the first one took


def test_published_figures_are_printed_with_the_gap_to_ours(connected, working) -> None:
    done = connected("suite", "run", "cifar100-survey", "--seeds", "1993")
    assert done.code == 0, done.err
    assert "reported on cifar100-b0-inc10-m2000-resnet32" in done.out
    (row,) = [line for line in done.out.splitlines() if line.strip().startswith("WA ") and "67.09" in line]
    cells = row.split()
    assert float(cells[-1]) == pytest.approx(float(cells[-2]) - 67.09, abs=0.06)  # gap = ours − reported


def test_a_failed_run_is_named_and_ends_with_code_1(connected, service) -> None:
    def fail_one() -> None:
        while (claim := service.claim()) is None:
            time.sleep(0.05)
        service.fail(claim, "the loss became NaN")
        for _ in range(600):
            service.complete_all()
            time.sleep(0.01)

    worker = threading.Thread(target=fail_one)
    worker.start()
    done = connected("suite", "run", "digits-tuning", "--seeds", "5", "--json")
    worker.join()
    assert done.code == 1
    assert "the loss became NaN" in done.err
    assert len(json.loads(done.out)["failures"]) == 1


def test_an_unknown_suite_is_refused_with_the_known_ones(cil) -> None:
    unknown = cil("suite", "show", "nope")
    assert unknown.code == 2
    assert "digits-quick" in unknown.err
    assert "folder" in cil("suite", "show", "cifar10-small", "--dataset", "../etc").err
    assert cil("suite", "show", "cifar10-small", "--seeds", "a").code == 2


def test_an_unregistered_dataset_is_refused_by_the_server(connected) -> None:
    done = connected("suite", "run", "cifar10-small", "--dataset", "folder:unknown")
    assert done.code == 3
    assert "folder:unknown" in done.err
