"""Placements against definitions written out once more, and against places worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from store.leaderboard.ranking import Contender, Costs, Placement, frontier, placements
from store.leaderboard.significance import t_tests

few = st.integers(0, 3).map(float)


def contender(
    name: str, *accuracies: float | None, kept_bytes: int = 100, seconds: float | None = 1.0
) -> Contender:
    """With an accuracy for seed 1, 2, …, None where the seed has not run."""
    return Contender(
        name,
        {seed: value for seed, value in enumerate(accuracies, start=1) if value is not None},
        kept_bytes,
        seconds,
        np.mean([value for value in accuracies if value is not None]).item(),
    )


@given(st.lists(st.tuples(few, few, few), max_size=12))
def test_the_frontier_is_every_entry_that_none_dominates(costs: list[Costs]) -> None:
    named = {str(place): cost for place, cost in enumerate(costs)}
    undominated = {
        name
        for name, cost in named.items()
        if not any(
            all(np.less_equal(other, cost)) and any(np.less(other, cost)) for other in costs
        )  # the definition
    }
    assert frontier(named) == undominated


def test_a_time_that_was_not_recorded_dominates_nothing() -> None:
    unknown, slow = contender("unknown", 0.9, seconds=None), contender("slow", 0.8, seconds=50.0)
    assert {
        name
        for name, standing in placements([unknown, slow], ranked=True, banded=False).items()
        if standing.pareto
    } == {"unknown", "slow"}


def test_a_band_ends_where_the_corrected_test_tells_an_entry_from_its_first() -> None:
    first, near, far = (
        contender("first", 0.80, 0.82, 0.84, 0.83),
        contender("near", 0.79, 0.83, 0.82, 0.83),
        contender("far", 0.50, 0.53, 0.54, 0.52),
    )
    further, lonely = contender("further", 0.49, 0.53, 0.55, 0.52), contender("lonely", None, None, 0.1)
    found = placements([first, near, far, further, lonely], ranked=True, banded=True)
    assert {name: standing.band for name, standing in found.items()} == {
        "first": 1,
        "near": 1,
        "far": 2,
        "further": 2,
        "lonely": 2,
    }
    assert [found[name].rank for name in ("first", "near", "far", "further", "lonely")] == [1, 2, 3, 3, 5]


def test_median_ranks_are_among_those_that_have_the_seed() -> None:
    found = placements(
        [contender("a", 0.9, 0.7, 0.8), contender("b", 0.9, 0.8), contender("c", 0.1, 0.9, None)],
        ranked=True,
        banded=False,
    )
    # seed 1: a and b share the first rank, c is third; seed 2: c, b, a; seed 3: a alone
    assert {name: place.median_rank for name, place in found.items()} == {"a": 1, "b": 1.5, "c": 2}


def scored(name: str, score: float | None) -> Contender:
    return Contender(name, {1: 0.5}, kept_bytes=100, train_seconds=1.0, score=score)


def test_equal_scores_share_a_rank_and_the_next_one_is_skipped() -> None:
    found = placements(
        [scored("a", 0.9), scored("b", 0.1 + 0.2), scored("c", 0.3), scored("d", 0.2)],
        ranked=True,
        banded=False,
    )
    assert {name: place.rank for name, place in found.items()} == {"a": 1, "b": 2, "c": 2, "d": 4}


def test_a_contender_without_a_score_has_no_rank() -> None:
    found = placements([scored("a", -0.1), scored("b", None)], ranked=True, banded=False)
    assert {name: place.rank for name, place in found.items()} == {"a": 1, "b": None}


@given(st.lists(few, min_size=1, max_size=12))
def test_ranks_are_those_of_scipy(scores: list[float]) -> None:
    ordered = sorted(scores, reverse=True)
    found = placements(
        [scored(str(place), score) for place, score in enumerate(ordered)], ranked=True, banded=False
    )
    assert [place.rank for place in found.values()] == stats.rankdata(
        [-score for score in ordered], "min"
    ).tolist()


def test_a_track_for_tuning_reports_only_the_frontier() -> None:
    found = placements(
        [contender("a", 0.9, kept_bytes=10), contender("b", 0.8, kept_bytes=20)], ranked=False, banded=True
    )
    assert found == {"a": Placement(pareto=True), "b": Placement()}


def test_no_entries_have_no_ranks() -> None:
    assert placements([], ranked=True, banded=True) == {}


def test_the_tests_of_all_rows_agree_with_scipy_over_the_seeds_each_shares() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(0.01, 0.02, size=(20, 6))
    rows[generator.random(rows.shape) < 0.3] = math.nan
    for row, p in zip(rows, t_tests(rows), strict=True):
        shared = row[~np.isnan(row)]
        assert p == (pytest.approx(stats.ttest_1samp(shared, 0).pvalue) if len(shared) >= 3 else 1.0)
