"""Paired tests against scipy's and against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from store.leaderboard.significance import holm, paired, rank

FIRST, SECOND = [0.70, 0.72, 0.75, 0.71, 0.74], [0.68, 0.73, 0.70, 0.69, 0.71]


def test_a_paired_comparison_agrees_with_scipy() -> None:
    test = paired([1, 2, 3, 4, 5], FIRST, SECOND)
    differences = np.subtract(FIRST, SECOND)
    expected = stats.ttest_rel(FIRST, SECOND)
    assert test.t_p == pytest.approx(expected.pvalue)
    assert test.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert test.wilcoxon_p == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert test.effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert (test.wins, test.ties, test.losses) == (4, 0, 1)
    assert test.wilcoxon_least_p == 2 / 2**5
    low, high = test.bootstrap
    assert differences.min() <= low < test.mean < high <= differences.max()
    assert paired([1, 2, 3, 4, 5], FIRST, SECOND).bootstrap == test.bootstrap


def test_two_seeds_are_shown_and_not_tested() -> None:
    test = paired([1, 2], [0.5, 0.6], [0.4, 0.6])
    assert test.mean == pytest.approx(0.05)
    assert (test.interval, test.bootstrap, test.t_p, test.wilcoxon_p, test.effect, test.wilcoxon_least_p) == (
        None,
    ) * 6
    assert (test.wins, test.ties, test.losses) == (1, 1, 0)


def test_without_a_shared_seed_there_is_nothing() -> None:
    assert paired([], [], []).mean is None


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_differences_without_spread_decide_everything(shift: float, p: float) -> None:
    test = paired([1, 2, 3], [0.5 + shift] * 3, [0.5] * 3)
    assert test.t_p == p
    assert test.effect is None
    assert test.wilcoxon_p == (1.0 if not shift else stats.wilcoxon([0.1] * 3).pvalue)


def test_rounding_is_no_spread() -> None:
    test = paired([1, 2, 3, 4, 5, 6], [0.7] * 6, [0.37] * 6)
    assert (test.effect, test.t_p) == (None, 0.0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_average_ranks_and_the_critical_difference_of_demsar() -> None:
    """Demšar 2006, section 3.2.2: four methods on fourteen datasets.

    q = 2.569 (table 5), CD = 2.569 √(4·5 / (6·14)) = 1.25.
    """
    random = np.random.default_rng(0)
    scores = random.random((14, 4)) + np.array([0.0, 0.5, 1.0, 1.5])
    ranking = rank(["a", "b", "c", "d"], scores.tolist())
    assert ranking.critical_difference == pytest.approx(2.569 * math.sqrt(20 / 84), abs=1e-3)
    assert ranking.names[0] == "d"
    assert sum(ranking.average_ranks) == pytest.approx(10)
    assert ranking.friedman_p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)


def test_ties_share_their_rank_and_two_methods_have_no_friedman_test() -> None:
    ranking = rank(["a", "b"], [[0.5, 0.5], [0.6, 0.4]])
    assert ranking.average_ranks == (1.25, 1.75)
    assert ranking.friedman_p is None


@pytest.mark.parametrize(
    "differences",
    [[0.01, -0.02, 0.03, 0.05], [0.01, -0.01, 0.03, 0.02, 0.02, -0.04], [0.0, 0.2, 0.1, -0.05, 0.3]],
)
def test_signed_ranks_agree_with_scipy_also_with_ties_and_zeros(differences: list[float]) -> None:
    test = paired(range(len(differences)), differences, [0.0] * len(differences))
    moving = [value for value in differences if value]
    assert test.wilcoxon_p == stats.wilcoxon(moving).pvalue
