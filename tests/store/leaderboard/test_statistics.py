"""Means, spreads and intervals."""

from __future__ import annotations

import pytest

from store.leaderboard.statistics import Statistic, describe


def test_three_seeds_have_a_students_interval() -> None:
    statistic = describe([0.60, 0.62, 0.64])
    assert statistic.mean == pytest.approx(0.62)
    assert statistic.std == pytest.approx(0.02)
    assert statistic.interval == pytest.approx(
        (0.62 - 4.302653 * 0.02 / 3**0.5, 0.62 + 4.302653 * 0.02 / 3**0.5)
    )


def test_two_seeds_have_a_spread_and_one_has_none() -> None:
    two = describe([0.25, 0.75])
    assert (two.mean, two.std, two.interval) == (0.5, pytest.approx(0.5**0.5 / 2), None)
    assert describe([0.5]) == Statistic(mean=0.5, std=None, interval=None)


def test_nothing_has_no_statistic() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        describe([])
