"""Tracks and leaderboards, in every format."""

from __future__ import annotations

import csv
import io

import pytest

from api.exports import to_csv, to_latex, to_markdown
from cil_core.spec.presets import PRESETS
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import SORTS

DIGITS = "digits-b0-inc2-m50-convnet"
BOARD = f"/api/v1/leaderboards/{DIGITS}"


def by_method(answer):
    assert answer.status_code == 200, answer.text
    return {entry["method"]: entry for entry in answer.json()["items"]}


def test_entries_carry_mean_spread_and_interval_over_seeds(finished):
    entry = by_method(finished.get(BOARD))["replay"]
    accuracy = entry["metrics"]["average_accuracy"]
    values = [run["average_accuracy"] for run in entry["runs"]]
    assert (len(values), accuracy["mean"]) == (3, pytest.approx(sum(values) / 3))
    low, high = accuracy["interval"]
    assert high - accuracy["mean"] == pytest.approx(4.302653 * accuracy["std"] / 3**0.5)
    assert low < accuracy["mean"] < high
    assert len(entry["curve"]) == len(entry["seen_classes"]) == 5
    assert (entry["exemplars"], entry["parameters"], entry["train_seconds"]["mean"], entry["devices"]) == (
        50,
        1004,
        12.5,
        ["cpu"],
    )


def test_one_seed_has_no_interval(finished):
    accuracy = by_method(finished.get(BOARD))["finetune"]["metrics"]["average_accuracy"]
    assert (accuracy["std"], accuracy["interval"]) == (None, None)


def test_joint_has_no_rank(finished):
    items = finished.get(BOARD).json()["items"]
    ranks = {entry["method"]: entry["rank"] for entry in items}
    assert ranks == {"finetune": 1, "joint": None, "replay": 2, "icarl": 3}


@pytest.mark.parametrize("sort", SORTS)
def test_the_best_comes_first_by_every_sort(finished, sort):
    items = [entry for entry in finished.get(BOARD, params={"sort": sort}).json()["items"] if entry["rank"]]
    values = [
        entry[sort]
        if sort in entry and not isinstance(entry[sort], dict)
        else (entry["metrics"].get(sort) or entry[sort])["mean"]
        for entry in items
    ]
    assert values == sorted(values, reverse=SORTS[sort] < 0)


def test_the_classifier_is_a_parameter(finished):
    assert {
        name: entry["classifier"]
        for name, entry in by_method(finished.get(BOARD, params={"classifier": "nme"})).items()
    } == {
        "replay": "nme",
        "icarl": "nme",
    }
    assert by_method(finished.get(BOARD))["icarl"]["classifier"] == "nme"
    assert by_method(finished.get(BOARD))["replay"]["classifier"] == "linear"


def test_entries_can_be_filtered_to_exemplar_free_ones(finished):
    assert set(by_method(finished.get(BOARD, params={"exemplar_free": "true"}))) == {"finetune", "joint"}


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("sort=name", "average_accuracy, average_accuracy_without_base"),
        ("classifier=knn", "linear, nme"),
        ("format=xml", "json, csv"),
    ],
)
def test_an_invalid_choice_lists_the_allowed_values(client, query, allowed):
    answer = client.get(f"{BOARD}?{query}")
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["parameter"]) == (422, query.partition("=")[0])
    assert allowed in fault["detail"]


def test_csv_has_one_line_per_entry_in_full_precision(finished):
    answer = finished.get(BOARD, params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="{DIGITS}.csv"' in answer.headers["content-disposition"]
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    expected = by_method(finished.get(BOARD))
    assert float(rows["replay"]["forgetting_mean"]) == expected["replay"]["metrics"]["forgetting"]["mean"]
    assert (rows["joint"]["rank"], rows["finetune"]["average_accuracy_low"], rows["replay"]["track"]) == (
        "",
        "",
        DIGITS,
    )


def test_latex_is_a_booktabs_table_with_citations(finished):
    text = finished.get(BOARD, params={"format": "latex"}).text
    assert r"\begin{tabular}{rlrrrrrr}" in text
    assert r"iCaRL~\cite{rebuffi2017icarl} & " in text
    assert text.count(r" \\") == 5
    assert r"$\pm$" in text
    assert "–" not in text


def test_markdown_is_a_table(finished):
    lines = finished.get(BOARD, params={"format": "markdown"}).text.splitlines()
    assert len([line for line in lines if line.startswith("|")]) == 6
    assert any(line.startswith("| – | Joint |") for line in lines)


def an_entry(client, variant):
    return Entry.model_validate(client.get(BOARD).json()["items"][0] | {"variant": variant})


def test_a_formula_in_a_csv_cell_is_escaped(finished):
    entry = an_entry(finished, '=HYPERLINK("http://x")')
    assert """'=HYPERLINK""" in to_csv([entry], DIGITS)


def test_latex_and_markdown_escape_their_special_characters(finished):
    entry = an_entry(finished, "a_b=5% {x} | \\input")
    assert r"a\_b=5\% \{x\} | \textbackslash{}input" in to_latex([entry], DIGITS)
    assert r"a_b=5% {x} \| \input" in to_markdown([entry], DIGITS)


def test_a_valid_track_without_submissions_is_empty(client):
    answer = client.get("/api/v1/leaderboards/digits-b0-inc5-m0-convnet")
    assert (answer.status_code, answer.json()["items"], answer.json()["track"]["protocol"]["first"]) == (
        200,
        [],
        5,
    )


def test_every_preset_track_has_a_leaderboard_before_its_first_run(client):
    answers = {slug: client.get(f"/api/v1/leaderboards/{slug}") for slug in PRESETS}
    assert {slug: answer.status_code for slug, answer in answers.items()} == dict.fromkeys(PRESETS, 200)
    assert any(answer.json()["track"]["memory"]["kind"] == "aligned" for answer in answers.values())


@pytest.mark.parametrize(
    "slug",
    [
        "nonsense",
        "letters-b0-inc2-m50-convnet",
        "digits-b0-inc2-m50-vgg",
        "digits-b0-inc20-m50-convnet",
        "%00",
    ],
)
def test_an_impossible_track_is_not_found(client, slug):
    for path in (
        f"/api/v1/leaderboards/{slug}",
        f"/api/v1/tracks/{slug}",
        f"/tracks/{slug}",
        f"/tracks/{slug}/curves.svg",
    ):
        assert client.get(path).status_code == 404


def test_a_noncanonical_slug_is_answered_with_the_canonical_one(client):
    answer = client.get("/api/v1/tracks/digits-b2-inc2-m50-convnet")
    assert (answer.status_code, "digits-b0-inc2-m50-convnet" in answer.json()["detail"]) == (404, True)


def test_tracks_are_listed_with_their_entries_and_runs(finished):
    (track,) = [one for one in finished.get("/api/v1/tracks").json()["items"] if one["runs"]]
    assert (track["slug"], track["entries"], track["runs"], track["spec"]["memory"]) == (
        DIGITS,
        4,
        10,
        {"kind": "total", "amount": 50},
    )
    assert finished.get(f"/api/v1/tracks/{DIGITS}").json() == track


SURVEYED = "cifar100-b0-inc10-m2000-resnet32"


def test_reported_results_have_a_gap_and_no_rank(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job("icarl", track=SURVEYED, preset="survey"))
    service.complete_all()
    board = client.get(f"/api/v1/leaderboards/{SURVEYED}").json()
    (entry,) = board["items"]
    rows = {row["title"]: row for row in board["reported"]}
    assert rows["iCaRL"]["entry"] == entry["id"]
    assert rows["iCaRL"]["gap"] == pytest.approx(entry["metrics"]["average_accuracy"]["mean"] - 0.6442)
    assert (rows["WA"]["entry"], rows["WA"]["gap"]) == (None, None)
    assert entry["rank"] == 1


def test_a_gap_appears_only_for_the_recipe_that_the_source_ran(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job("icarl", track=SURVEYED, preset="small"))
    service.complete_all()
    board = client.get(f"/api/v1/leaderboards/{SURVEYED}").json()
    assert len(board["items"]) == 1
    row = next(row for row in board["reported"] if row["title"] == "iCaRL")
    assert (row["preset"], row["classifier"], row["entry"], row["gap"]) == ("survey", "nme", None, None)


def test_foster_s_gap_is_that_of_the_boosted_network(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job("foster", track=SURVEYED))
    service.complete_all()
    board = client.get(f"/api/v1/leaderboards/{SURVEYED}", params={"classifier": "boosted"}).json()
    (boosted,) = board["items"]
    row = next(row for row in board["reported"] if row["title"] == "FOSTER")
    assert row["entry"] == boosted["id"]
    assert row["gap"] == pytest.approx(
        boosted["metrics"]["average_accuracy"]["mean"] - row["average_accuracy"]
    )


def test_reported_results_appear_before_the_first_run(finished):
    page = finished.get(f"/tracks/{SURVEYED}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "Reported elsewhere" in page.text
    assert "64.4" in page.text
    assert "Reported elsewhere" not in finished.get("/tracks/digits-b0-inc2-m50-convnet").text


def test_each_paper_of_a_leaderboard_is_listed_once(finished):
    answer = finished.get(BOARD, params={"format": "bibtex"})
    assert answer.headers["content-type"] == "application/x-bibtex; charset=utf-8"
    assert answer.text.count("@inproceedings{rebuffi2017icarl,") == 1
    assert answer.text.count("@") == answer.text.count("@inproceedings")


def test_an_unchanged_leaderboard_is_not_sent_again(client, service, a_job):
    client.post("/api/v1/jobs", json=a_job("replay", seeds=(1,)))
    service.complete_all()
    first = client.get(BOARD)
    assert first.headers["ETag"].startswith('W/"')
    again = client.get(BOARD, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (
        client.get(
            BOARD, params={"sort": "last_accuracy"}, headers={"If-None-Match": first.headers["ETag"]}
        ).status_code
        == 200
    )
    assert client.get(BOARD, params={"format": "csv"}).headers["ETag"] != first.headers["ETag"]
    client.post("/api/v1/jobs?force=true", json=a_job("replay", seeds=(1,)))
    service.complete_all()
    changed = client.get(BOARD, headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.headers["ETag"] != first.headers["ETag"]) == (200, True)


def test_an_ended_run_is_cached_and_an_unfinished_one_is_not(client, service, a_job):
    run_id = client.post("/api/v1/jobs", json=a_job(seeds=(1,))).json()["runs"][0]["id"]
    assert "ETag" not in client.get(f"/api/v1/runs/{run_id}").headers
    service.complete_all()
    tag = client.get(f"/api/v1/runs/{run_id}").headers["ETag"]
    assert tag.startswith('"')
    for given in (tag, f'"x", {tag}', "*", f"W/{tag}"):
        assert client.get(f"/api/v1/runs/{run_id}", headers={"If-None-Match": given}).status_code == 304
    assert client.get(f"/api/v1/runs/{run_id}", headers={"If-None-Match": '"x"'}).status_code == 200
