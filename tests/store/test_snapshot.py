"""A community's results leave one database and arrive in another, whole and unchanged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from store import runs
from store.access.accounts import create_user
from store.database.errors import ResultConflict
from store.database.models import ReportedResult, Run, Summary, TaskResult
from store.database.session import Database
from store.leaderboard.leaderboard import entries
from store.leaderboard.reported import NewReportedResult, add_reported_result
from store.runs.replays import replay
from store.snapshot import load, records

if TYPE_CHECKING:
    from tests.store.conftest import Scenario

TRACK = "digits-b0-inc2-m50-convnet"
OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}


@pytest.fixture
def exported(scenario: Scenario) -> list[dict[str, Any]]:
    """The snapshot of a service, as it comes over the wire.

    It has two methods, a replay, a failed run and a reported result.
    """
    scenario.submit(scenario.spec("icarl"))
    scenario.submit(scenario.spec("replay", (1,)))
    scenario.complete_all()
    with scenario.database.transaction() as session:
        first = session.scalars(select(Run.id).order_by(Run.id)).first()
        replay(session, str(first), user_id=None, engine_version="1")
        ada = create_user(session, "ada")
        numbers = NewReportedResult(title="theirs", citation="somewhere", curve=[0.9, 0.8, 0.7, 0.6, 0.5])
        add_reported_result(session, numbers, user_id=ada.id, track_slug=TRACK, task_sizes=(2,) * 5)
    scenario.complete_all()
    scenario.submit(scenario.spec("wa", (1,)))
    scenario.fail(scenario.claim(), runs.FailureClass.diverged)
    return json.loads(json.dumps(list(records(scenario.database))))


@pytest.fixture
def other_database(databases: Any, database: Database) -> Any:
    """An empty database of the other kind."""
    with databases.url(OTHER[database.engine.dialect.name]) as url, databases.opened(url) as other_database:
        yield other_database


def load_into(database: Database, found: list[dict[str, Any]]) -> dict[str, int]:
    with database.transaction() as session:
        return load(session, found)


def board(database: Database) -> list[Any]:
    with database.reading() as session:
        return [entry.model_dump() for entry in entries(session, TRACK)]


def rows(database: Database) -> list[tuple[Any, ...]]:
    columns = (
        TaskResult.run_id,
        TaskResult.task,
        TaskResult.classifier,
        TaskResult.correct,
        TaskResult.footprint,
        TaskResult.seconds,
    )
    with database.reading() as session:
        return [
            tuple(row)
            for row in session.execute(
                select(*columns).order_by(TaskResult.run_id, TaskResult.task, TaskResult.classifier)
            )
        ]


def test_an_imported_snapshot_equals_the_exported_one(
    scenario: Scenario, exported: list[dict[str, Any]], other_database: Database
) -> None:
    assert exported[-1] == {
        "kind": "end",
        "counts": {"dataset": 0, "track": 1, "run": 5, "reported": 1, "entry": 2},
    }
    assert load_into(other_database, exported) == {"dataset": 0, "track": 1, "run": 5, "reported": 1}
    assert board(other_database) == board(scenario.database)
    assert board(other_database)[0]["trust"] == "replayed"
    assert rows(other_database) == rows(scenario.database)
    assert json.loads(json.dumps(list(records(other_database))))[1:] == exported[1:]


def test_an_imported_name_that_is_refused_today_still_loads(
    exported: list[dict[str, Any]], other_database: Database
) -> None:
    next(record for record in exported if record["kind"] == "reported")["user"] = "ada\nlovelace"
    assert load_into(other_database, exported)["reported"] == 1


def test_loading_again_changes_nothing(exported: list[dict[str, Any]], other_database: Database) -> None:
    load_into(other_database, exported)
    before = board(other_database)
    assert set(load_into(other_database, exported).values()) == {0}
    assert board(other_database) == before


def test_a_later_run_of_a_seed_goes_before_an_imported_one(
    scenario: Scenario, exported: list[dict[str, Any]], other_database: Database, scenario_of: type[Scenario]
) -> None:
    other = scenario_of(other_database)
    other.submit(other.spec("icarl"))
    other.complete_all()
    own = {run["run_id"] for run in board(other_database)[0]["runs"]}
    load_into(other_database, exported)
    counted = next(entry for entry in board(other_database) if entry["method"] == "icarl")
    assert {run["run_id"] for run in counted["runs"]} == own
    with other_database.reading() as session:
        assert len(session.scalars(select(Summary.run_id).where(Summary.counted, Summary.ranking)).all()) == 4


@pytest.mark.parametrize("forge", ["counts", "entry", "digest"])
def test_a_run_that_contradicts_itself_is_refused_and_nothing_is_written(
    exported: list[dict[str, Any]], other_database: Database, forge: str
) -> None:
    run = next(record for record in exported if record["kind"] == "run")
    if forge == "counts":
        run["results"][0]["correct"][0] += 1
    else:
        run |= {"entry": {"entry": "ent_" + "0" * 24}, "digest": {"matrix_digest": "0" * 64}}[forge]
    with pytest.raises(ResultConflict, match="contradicts itself"):
        load_into(other_database, exported)
    with other_database.reading() as session:
        assert session.scalars(select(Run)).all() == []


def test_a_run_that_is_here_with_other_results_is_refused(
    exported: list[dict[str, Any]], other_database: Database
) -> None:
    load_into(other_database, exported)
    next(record for record in exported if record["kind"] == "run")["matrix_digest"] = "0" * 64
    with pytest.raises(ResultConflict, match="has other results here"):
        load_into(other_database, exported)


def test_what_is_not_a_whole_snapshot_is_refused(
    exported: list[dict[str, Any]], other_database: Database
) -> None:
    cases = {
        "incomplete: its last record is missing": exported[:-1],
        "last record counts": [*exported[:-2], exported[-1]],
        "not a snapshot": exported[1:],
        "has version 99; this software reads version 1": [{**exported[0], "version": 99}, *exported[1:]],
        "unknown kind of record 'user'": [exported[0], {"kind": "user"}],
        "last record is missing": [],
    }
    for complaint, found in cases.items():
        with pytest.raises(ValueError, match=complaint):
            load_into(other_database, found)


def test_a_snapshot_contains_no_secret(scenario: Scenario, exported: list[dict[str, Any]]) -> None:
    assert "last line" not in json.dumps(exported)  # of the failed run's log
    with scenario.database.reading() as session:
        assert session.scalars(select(ReportedResult.user_id)).one() not in json.dumps(exported)
