"""The spread over class orders, apart from the spread over seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from store.leaderboard.class_orders import order_sensitivity

if TYPE_CHECKING:
    from tests.store.conftest import Scenario

TRACK = "digits-b0-inc2-m50-convnet"


def test_variance_over_orders_is_what_seeds_do_not_explain(scenario: Scenario) -> None:
    # A run's accuracy falls by 1/100 a seed, so orders that run with other seeds have other means.
    seeds = {TRACK: (0, 1, 2), f"{TRACK}-order7": (3, 4, 5), f"{TRACK}-order8": (4, 5, 6)}
    for track, chosen in seeds.items():
        scenario.submit(scenario.spec("icarl", chosen, track))
    scenario.submit(scenario.spec("replay", (1,), TRACK))  # under one order only
    scenario.complete_all()
    with scenario.database.reading() as session:
        (found,) = order_sensitivity(session, f"{TRACK}-order7")
        assert order_sensitivity(session, TRACK) == (found,)
    assert (found.method, found.tracks) == ("icarl", tuple(sorted(seeds)))
    means = [0, -0.03, -0.04]  # of the three orders, beside a constant
    centre = sum(means) / 3
    between = sum((mean - centre) ** 2 for mean in means) / 2
    assert found.std_over_seeds == pytest.approx(0.01)
    assert found.std_over_orders == pytest.approx(math.sqrt(between - 0.01**2 / 3))
    assert found.means[0] - found.means[1] == pytest.approx(0.03)


def test_orders_that_differ_no_more_than_seeds_do_have_no_spread_of_their_own(scenario: Scenario) -> None:
    for track in (TRACK, f"{TRACK}-order7"):
        scenario.submit(scenario.spec("icarl", (0, 6), track))
    scenario.submit(scenario.spec("replay", (1,), TRACK))
    scenario.submit(scenario.spec("replay", (3,), f"{TRACK}-order7"))
    scenario.complete_all()
    with scenario.database.reading() as session:
        one_seed, equal = order_sensitivity(session, TRACK)
    assert (equal.method, equal.std_over_orders, equal.std_over_seeds) == (
        "icarl",
        0,
        pytest.approx(0.06 / math.sqrt(2)),
    )
    assert (one_seed.method, one_seed.std_over_orders, one_seed.std_over_seeds) == (
        "replay",
        pytest.approx(0.02 / math.sqrt(2)),
        None,
    )


def test_a_track_without_jobs_has_no_orders(scenario: Scenario) -> None:
    with scenario.database.reading() as session:
        assert order_sensitivity(session, "nope") == ()
