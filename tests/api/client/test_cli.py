"""`cil` against the real application: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

from cil_core.spec.recipes import BY_NAME
from store import runs

DIGITS = "digits-b0-inc2-m50-convnet"
SUBMIT = ("submit", "--method", "replay", "--track", DIGITS, "--seeds", "1,2,3")


@pytest.fixture
def finished(connected, service) -> str:
    """A finished job."""
    job_id = json.loads(connected(*SUBMIT, "--name", "a =note [bold]", "--json").out)["id"]
    assert service.complete_all() == 3
    return job_id


def test_a_job_is_submitted_with_options(connected) -> None:
    done = connected(
        *SUBMIT,
        "--preset",
        "small",
        "--set",
        "first_task.epochs=3",
        "--set",
        "first_task.milestones=[2]",
        "--set",
        "name=replay",
        "--json",
    )
    job = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert (
        job["state"],
        [run["seed"] for run in job["runs"]],
        job["spec"]["method"]["first_task"]["epochs"],
    ) == ("queued", [1, 2, 3], 3)
    small = BY_NAME["replay"].from_preset("small").first_task
    assert job["spec"]["method"]["first_task"] == small.model_dump(mode="json") | {
        "epochs": 3,
        "milestones": [2],
    }
    assert "queued" in connected("show", job["id"]).out


@pytest.mark.parametrize("group", [(), ("suite",)])
def test_the_summary_of_each_client_command_fits_80_columns(group, cil, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = cil(*group, "--help").out.partition("Commands:")[2].partition("  admin")[0]
    assert [line for line in listed.split("\n") if line.rstrip().endswith("...")] == []


def test_a_job_is_submitted_from_a_file(connected, nowhere) -> None:
    (nowhere / "job.json").write_text(json.dumps({"method": {"name": "lwf"}, "track": DIGITS, "seeds": [5]}))
    assert json.loads(connected("submit", "job.json", "--json").out)["method"] == "lwf"


def test_progress_of_a_watched_job_is_on_standard_error(connected, service) -> None:
    job_id = json.loads(connected(*SUBMIT, "--json").out)["id"]
    worker = threading.Thread(target=service.complete_all)
    worker.start()
    done = connected("watch", job_id, "--json")
    worker.join()
    assert done.code == 0
    assert json.loads(done.out)["state"] == "succeeded"
    assert done.err.count("task_evaluated") == 15
    assert "linear 94.0 %" in done.err
    again = connected(*SUBMIT, "--wait")
    assert (again.code, "reused" in again.out) == (0, True)


def test_a_job_that_fails_ends_with_code_1_and_the_reason(connected, service) -> None:
    job_id = json.loads(connected(*SUBMIT[:-1], "1", "--json").out)["id"]
    service.fail(service.claim(), "the loss became NaN at task 2")
    done = connected("watch", job_id)
    assert done.code == 1
    assert "the loss became NaN at task 2" in done.out


def test_jobs_are_listed_newest_first_and_filtered(connected, finished) -> None:
    connected("submit", "-m", "lwf", "-t", DIGITS)
    shown = connected("jobs").out
    assert shown.index("lwf") < shown.index("replay")
    assert "3/3" in shown
    assert "a =note [bold]" in shown
    listed = json.loads(connected("jobs", "--state", "succeeded", "--json").out)
    assert [job["id"] for job in listed["items"]] == [finished]


def test_a_run_is_shown_with_its_matrix(connected, finished) -> None:
    run_id = json.loads(connected("show", finished, "--json").out)["runs"][0]["id"]
    shown = connected("show", run_id).out
    assert "linear (ranks): accuracy on each task in %" in shown
    assert re.search(r"task 2 +\d\d\.\d +\d\d\.\d +\d\d\.\d\d *\n", shown)
    assert json.loads(connected("show", run_id, "--json").out)["id"] == run_id


def test_a_job_is_cancelled_once(connected) -> None:
    job_id = json.loads(connected(*SUBMIT, "--json").out)["id"]
    assert json.loads(connected("cancel", job_id, "--json").out)["state"] == "cancelled"
    again = connected("cancel", job_id)
    assert again.code == 3
    assert "already ended" in again.err


def test_a_leaderboard_is_printed_in_every_form(connected, finished) -> None:
    table = connected("leaderboard", DIGITS)
    assert table.code == 0
    assert "Replay" in table.out
    assert "±" in table.out
    assert json.loads(connected("leaderboard", DIGITS, "--json").out)["items"][0]["rank"] == 1
    assert connected("leaderboard", DIGITS, "--format", "csv").out.startswith("track,rank,method")
    assert r"\toprule" in connected("leaderboard", DIGITS, "--format", "latex").out
    assert json.loads(connected("leaderboard", DIGITS, "--exemplar-free", "--json").out)["items"] == []
    assert DIGITS in connected("tracks").out
    assert json.loads(connected("tracks", "--json").out)["items"][0]["runs"] == 3


def test_a_method_is_described_with_the_sources_of_its_defaults(connected) -> None:
    assert "icarl" in connected("methods").out
    shown = connected("methods", "icarl").out
    assert "@inproceedings{rebuffi2017icarl" in shown
    assert "preset small:" in shown
    assert "temperature" in shown
    assert json.loads(connected("methods", "icarl", "--json").out)["name"] == "icarl"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("submit", "--method", "icarl"), "give --method and --track"),
        ((*SUBMIT[:-1], "1,b"), "whole numbers between commas, not '1,b'"),
        ((*SUBMIT, "--set", "temperature"), "--set takes name=value, not 'temperature'"),
        (("submit", "job.json", "--seeds", "1"), "cannot be combined with --seeds"),
        (("submit", "job.json"), "is not readable as JSON"),
        (("submit", "missing.json"), "missing.json"),
        (("leaderboard", DIGITS, "--format", "csv", "--json"), "not both"),
        (("jobs", "--limit", "0"), "greater than or equal to 1"),
        (("fly",), "No such command 'fly'"),
    ],
)
def test_wrong_usage_ends_with_code_2(connected, nowhere, arguments, complaint) -> None:
    (nowhere / "job.json").write_text("{not json")
    done = connected(*arguments)
    assert done.code == 2
    assert complaint in done.err


def test_a_refusal_ends_with_code_3_and_names_the_field(connected) -> None:
    done = connected("submit", "-m", "icarl", "-t", "cifar100-b0-inc10-m20-resnet32")
    assert done.code == 3
    assert "/track/memory/amount" in done.err
    assert connected(*SUBMIT, "--token", "cil_wrong").code == 3


def test_without_a_server_it_ends_with_code_4(cil, served) -> None:
    done = cil("jobs")
    assert done.code == 4
    assert "no server is configured" in done.err


def test_login_remembers_a_server_that_answers(cil, served, monkeypatch) -> None:
    monkeypatch.setattr("api.client.http_session.TRIES", 1)
    assert cil("login", "http://127.0.0.1:9").code == 4
    assert cil("jobs").code == 4
    assert cil("login", served.url, "--token", served.service.token).code == 0
    assert cil(*SUBMIT).code == 0
    assert cil("jobs", "--json").code == 0


def test_status_shows_leases_queues_and_reasons_of_failures(connected, service) -> None:
    began = time.monotonic()
    empty = connected("status").out
    assert "No worker was online" in empty
    assert re.search(r"all +0 +0 +–", empty)
    connected(*SUBMIT)
    with service.database.transaction() as session:
        runs.register_worker(session, runs.WorkerOffer("worker-1", "cil", "cpu", None), {})
    lost = service.claim()
    with service.database.transaction() as session:
        runs.fail(session, lost, runs.FailureClass.infrastructure, "killed by SIGKILL", {})
    service.claim()
    shown = connected("status").out
    seen = re.search(r"worker-1 +cpu +([\d.]+) s ago +replay, seed 2 +\d+ (s|min|h) left", shown)
    waits = re.search(r"cil +2 +1 +([\d.]+) s", shown)
    assert max(float(seen[1]), float(waits[1])) <= time.monotonic() - began
    assert re.search(r"replay, seed 1 +1 +in \d s +.*killed by SIGKILL", shown)
    assert json.loads(connected("status", "--json").out)["queues"][0]["length"] == 2


def test_entries_are_compared_with_a_baseline(connected, finished, service) -> None:
    connected("submit", "-m", "icarl", "-t", DIGITS, "--seeds", "1,2,3")
    service.complete_all()
    entries = [entry["id"] for entry in json.loads(connected("leaderboard", DIGITS, "--json").out)["items"]]
    shown = connected("compare", *entries)
    assert shown.code == 0
    assert re.search(r"against \w+ on " + DIGITS, shown.out)
    assert re.search(r"avg acc +[+-]\d+\.\d\d +[+-]\d+\.\d\d … [+-]\d+\.\d\d +(<|0|1)", shown.out)
    assert (
        json.loads(connected("compare", *entries, "--baseline", entries[1], "--json").out)["baseline"]
        == entries[1]
    )
    alone = connected("compare", entries[0])
    assert (alone.code, "2 to 8 different entries" in alone.err) == (3, True)


def test_methods_are_ranked_over_tracks(connected, service) -> None:
    tracks = (DIGITS, "digits-b4-inc3-m50-convnet")
    for track in tracks:
        for method in ("replay", "icarl"):
            connected("submit", "-m", method, "-t", track, "--seeds", "1")
    service.complete_all()
    shown = connected("compare", "--track", tracks[0], "--track", tracks[1]).out
    assert "ranks over 2 tracks" in shown
    assert re.search(r"(Replay|iCaRL) +\d\.\d\d", shown)
    wrong = connected("compare")
    assert (wrong.code, "give either entries or tracks" in wrong.err) == (2, True)
