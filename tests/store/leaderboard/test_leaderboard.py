"""The leaderboard: ranked, honest about seeds, and recomputable from the recorded counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import event

from store.database.errors import NotFound
from store.database.states import FailureClass
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import SORTS, entries, entries_by_id
from store.leaderboard.lru_cache import SharedCache
from store.leaderboard.tracks import get_track, list_tracks
from store.runs.summaries import summarize

if TYPE_CHECKING:
    from tests.conftest import Databases
    from tests.store.conftest import Scenario

TRACK = "digits-b0-inc2-m50-convnet"


def board(scenario: Scenario, classifier: str | None = None, **options: object) -> list[Entry]:
    with scenario.database.reading() as session:
        return entries(session, TRACK, classifier, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, databases: Databases, scenario_of: type[Scenario]
) -> Iterator[Scenario]:
    """Four methods; iCaRL with three seeds, from two jobs. For tests that only look."""
    with databases.url(request.param) as url, databases.opened(url) as database:
        yield fill(scenario_of(database))


def fill(scenario: Scenario) -> Scenario:
    scenario.submit(scenario.spec("icarl", (1, 2)))
    scenario.submit(scenario.spec("icarl", (2, 3)))
    scenario.submit(scenario.spec("finetune", (1, 2, 3, 4)))
    scenario.submit(scenario.spec("joint", (1,)))
    scenario.submit(scenario.spec("replay", (13, 20)))
    scenario.complete_all()
    return scenario


def test_an_entry_gathers_its_seeds_over_jobs(filled: Scenario) -> None:
    entry = next(entry for entry in board(filled) if entry.method == "icarl")
    assert [run.seed for run in entry.runs] == [1, 2, 3]
    assert (entry.title, entry.variant, entry.classifier, entry.devices) == (
        "iCaRL",
        "default",
        "nme",
        ("cpu",),
    )
    assert entry.seen_classes == (2, 4, 6)
    assert (entry.exemplars, entry.counted_bytes, entry.kept_bytes, entry.parameters) == (
        50,
        3600 + 64 * 50,
        8000,
        1002,
    )
    assert entry.train_seconds is not None
    assert entry.train_seconds.mean == 6.0


def test_every_number_is_recomputed_from_the_recorded_counts(filled: Scenario) -> None:
    for entry in board(filled):
        metrics = [summarize(filled.run(run.run_id).results)[entry.classifier] for run in entry.runs]
        for name, statistic in entry.metrics.items():
            if name == "intransigence":  # of joint training, below
                continue
            values = [getattr(one, name) for one in metrics]
            assert statistic.mean == pytest.approx(np.mean(values), abs=1e-15)
            assert statistic.std == (
                None if len(values) == 1 else pytest.approx(np.std(values, ddof=1), abs=1e-15)
            )
        assert [point.mean for point in entry.curve] == pytest.approx(
            np.mean([one.curve for one in metrics], axis=0), abs=1e-15
        )
        assert [run.last_accuracy for run in entry.runs] == [one.last_accuracy for one in metrics]


def test_the_best_is_first_and_upper_bounds_have_no_rank(filled: Scenario) -> None:
    ranking = board(filled)
    means = [entry.metrics["average_accuracy"].mean for entry in ranking]
    assert means == sorted(means, reverse=True)
    assert [entry.rank for entry in ranking if entry.method != "joint"] == [1, 2, 3]
    assert [entry.rank for entry in ranking if entry.method == "joint"] == [None]


def test_fewer_than_three_seeds_have_no_interval(filled: Scenario) -> None:
    intervals = {entry.method: entry.metrics["last_accuracy"].interval for entry in board(filled)}
    assert {method: interval is not None for method, interval in intervals.items()} == {
        "icarl": True,
        "finetune": True,
        "joint": False,
        "replay": False,
    }


def test_a_classifier_can_be_selected(filled: Scenario) -> None:
    assert {entry.method for entry in board(filled, "nme")} == {"icarl", "replay"}
    linear = {entry.method: entry for entry in board(filled, "linear")}
    assert set(linear) == {"icarl", "replay", "finetune", "joint"}
    assert (
        linear["icarl"].metrics["average_accuracy"].mean
        < next(e for e in board(filled) if e.method == "icarl").metrics["average_accuracy"].mean
    )
    assert board(filled, "no such") == []


@pytest.mark.parametrize("sort", SORTS)
def test_it_can_be_sorted_by_what_it_shows(filled: Scenario, sort: str) -> None:
    def key(entry: Entry) -> float:
        if sort in entry.metrics:
            return entry.metrics[sort].mean
        value = getattr(entry, sort)
        return float(value.mean if sort == "train_seconds" else value)

    values = [key(entry) for entry in board(filled, sort=sort)]
    assert len(values) == 4
    assert values == sorted(values, reverse="accuracy" in sort or "top5" in sort or "transfer" in sort)


def test_without_the_value_that_sorts_entries_come_by_accuracy_and_have_no_rank(scenario: Scenario) -> None:
    for method in ("finetune", "icarl"):
        scenario.submit(scenario.spec(method))
    scenario.complete_all()
    found = board(scenario, sort="intransigence")  # which needs runs of joint
    assert [(entry.method, entry.rank) for entry in found] == [("icarl", None), ("finetune", None)]


def test_entries_with_equal_values_share_a_rank_and_the_next_rank_is_skipped(scenario: Scenario) -> None:
    scenario.submit(scenario.spec("finetune", (1, 8)))  # counts depend on the seed modulo 7
    scenario.submit(scenario.spec("lwf", (8, 1)))
    scenario.submit(scenario.spec("ewc", (2,)))
    scenario.complete_all()
    found = board(scenario)
    assert [(entry.method, entry.rank) for entry in found if entry.method == "ewc"] == [("ewc", 3)]
    assert [entry.rank for entry in found] == [1, 1, 3]
    assert {entry.method: entry.median_rank for entry in found} == {"finetune": 1, "lwf": 1, "ewc": 1}


def test_equal_costs_share_a_rank(filled: Scenario) -> None:
    assert [entry.rank for entry in board(filled, sort="parameters") if entry.method != "joint"] == [1, 1, 1]


def test_an_unknown_sort_is_refused_with_the_known_ones(filled: Scenario) -> None:
    with pytest.raises(ValueError, match="cannot be sorted by 'beauty'; allowed: average_accuracy"):
        board(filled, sort="beauty")


def test_exemplar_free_entries_can_be_shown_alone(filled: Scenario) -> None:
    assert {entry.method for entry in board(filled, exemplar_free=True)} == {"finetune", "joint"}


def test_only_the_first_entries_are_described_when_there_are_many(filled: Scenario) -> None:
    assert [entry.id for entry in board(filled, limit=2)] == [entry.id for entry in board(filled)][:2]


def test_described_entries_are_not_read_again_and_a_new_run_appears(scenario: Scenario) -> None:
    scenario.submit(scenario.spec("icarl", (1,)))
    scenario.submit(scenario.spec("finetune", (1,)))
    scenario.complete_all()
    before = board(scenario)
    statements: list[str] = []
    event.listen(
        scenario.database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_: statements.append(statement),
    )
    assert board(scenario) == before
    assert statements
    assert not [statement for statement in statements if "runs.recipe" in statement]
    scenario.submit(scenario.spec("icarl", (2,)))
    scenario.complete_all()
    assert {entry.method: len(entry.runs) for entry in board(scenario)} == {"icarl": 2, "finetune": 1}


def test_the_cache_keeps_the_entries_queried_last(filled: Scenario) -> None:
    first, second, third = board(filled)[:3]
    recent: SharedCache[tuple[str], Entry] = SharedCache(most=2)
    recent.keep(("first",), first)
    recent.keep(("second",), second)
    assert recent.get(("first",)) is first
    recent.keep(("third",), third)
    assert [recent.get((name,)) for name in ("first", "second", "third")] == [first, None, third]


def test_another_recipe_engine_or_data_is_another_entry(scenario: Scenario) -> None:
    filled = fill(scenario)
    filled.submit(filled.spec("icarl", (1,), temperature=3.0))
    filled.submit(filled.spec("icarl", (1,)), engine_version="2")
    filled.submit(filled.spec("icarl", (1,)), dataset_fingerprint="f" * 64)
    while (claim := filled.try_claim()) is not None:
        filled.start(claim, engine_version=filled.run(claim.run_id).engine_version)
        for task in range(filled.tasks):
            filled.evaluate(claim, task)
        filled.finish(claim)
    icarl = [entry for entry in board(filled) if entry.method == "icarl"]
    assert len({entry.id for entry in icarl}) == 4
    assert sorted(len(entry.runs) for entry in icarl) == [1, 1, 1, 3]
    assert "temperature=3.0" in {entry.variant for entry in icarl}
    assert {entry.engine_version for entry in icarl} == {"1", "2"}


def test_a_forced_run_does_not_count_a_seed_twice(scenario: Scenario) -> None:
    filled = fill(scenario)
    before = board(filled)
    filled.submit(filled.spec("icarl", (1,)), force=True)
    claim = filled.claim()
    filled.complete(claim)
    after = board(filled)
    assert [entry.metrics for entry in after] == [entry.metrics for entry in before]
    assert claim.run_id in {run.run_id for entry in after for run in entry.runs}


def test_what_has_not_finished_is_not_shown(scenario: Scenario) -> None:
    scenario.submit(scenario.spec("icarl", (1, 2)))
    scenario.fail(scenario.claim(), FailureClass.diverged)
    scenario.start(scenario.claim())
    assert board(scenario) == []


def test_entries_can_be_taken_by_id(filled: Scenario) -> None:
    wanted = [entry.id for entry in board(filled)][::-2]
    with filled.database.reading() as session:
        assert [entry.id for entry in entries_by_id(session, wanted)] == wanted
        with pytest.raises(NotFound, match="no finished run of ent_x"):
            entries_by_id(session, [*wanted, "ent_x"])


def test_tracks_list_their_numbers_of_entries_and_runs(filled: Scenario) -> None:
    with filled.database.reading() as session:
        assert [(status.track.slug, status.entries, status.runs) for status in list_tracks(session)] == [
            (TRACK, 4, 10)
        ]
        assert get_track(session, TRACK).dataset == "digits"
        with pytest.raises(NotFound, match="digits-b0-inc1"):
            get_track(session, "digits-b0-inc1-m50-convnet")


def test_a_track_without_results_is_listed_too(scenario: Scenario) -> None:
    scenario.submit()
    with scenario.database.reading() as session:
        assert [(status.track.slug, status.entries, status.runs) for status in list_tracks(session)] == [
            (TRACK, 0, 0)
        ]


# ---------------------------------------- against joint training, on the frontier, for tuning


def test_intransigence_is_defined_once_joint_training_has_run(scenario: Scenario) -> None:
    scenario.submit(scenario.spec("icarl", (1, 2)))
    scenario.complete_all()
    (alone,) = board(scenario)
    assert "intransigence" not in alone.metrics
    scenario.submit(scenario.spec("joint", (3, 4)))
    scenario.complete_all()
    entry = next(entry for entry in board(scenario) if entry.method == "icarl")
    joint = np.mean(
        [0.90 - seed / 100 for seed in (3, 4)]
    )  # right after each task, on its own images: the same for every task
    own = np.mean([0.92 - seed / 100 for seed in (1, 2)])
    assert entry.metrics["intransigence"].mean == pytest.approx(joint - own)


def test_the_frontier_is_every_entry_that_none_dominates(filled: Scenario) -> None:
    ranking = board(filled)
    costs = {
        entry.method: (-entry.metrics["average_accuracy"].mean, entry.kept_bytes, entry.train_seconds.mean)
        for entry in ranking
        if entry.train_seconds
    }
    best = min((cost, method) for method, cost in costs.items() if method != "joint")[1]
    assert {entry.method for entry in ranking if entry.pareto} == {
        best
    }  # all cost the same here, so only accuracy counts


@pytest.mark.parametrize(
    ("track", "ranks"),
    [
        ("imagenet100-b0-inc20-m0-vit_b16-imagenet1k", [None, None]),
        ("cifar100-b0-inc20-m0-vit_b16-imagenet1k", [1, 2]),
    ],
)
def test_nothing_is_ranked_on_images_that_the_weights_have_seen(
    scenario: Scenario, track: str, ranks: list[int | None]
) -> None:
    scenario.submit(scenario.spec("simplecil", (1,), track))
    scenario.submit(scenario.spec("finetune", (2,), track))
    scenario.complete_all()
    with scenario.database.reading() as session:
        assert [entry.rank for entry in entries(session, track)] == ranks


def test_nothing_is_ranked_on_a_track_for_tuning(scenario: Scenario) -> None:
    track = "digits-b0-inc2-m50-convnet-holdout20"
    scenario.submit(scenario.spec("icarl", (1,), track))
    scenario.submit(scenario.spec("replay", (1,), track))
    scenario.complete_all()
    with scenario.database.reading() as session:
        assert [entry.rank for entry in entries(session, track)] == [None, None]
