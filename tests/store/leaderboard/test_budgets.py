"""Areas under accuracy over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from store.database.errors import NotComparable, NotFound
from store.database.models import Summary
from store.leaderboard.budgets import MEGABYTE, area, budgets

if TYPE_CHECKING:
    from tests.store.conftest import Scenario

SLUG = "digits-b0-inc2-m{}-convnet"


def test_the_area_is_the_trapezoid_rule() -> None:
    assert area([1, 3, 4], [0.5, 0.7, 0.9]) == pytest.approx(2 * 0.6 + 1 * 0.8)


def test_the_published_areas_are_reproduced_from_their_end_points() -> None:
    # iCaRL on CIFAR-100 B0-Inc10, 7.6 to 23.5 MB: the survey prints 10.81 and 8.64 over five budgets.
    assert area([7.6, 23.5], [0.6442, 0.7094]) == pytest.approx(10.81, abs=0.06)
    assert area([7.6, 23.5], [0.4952, 0.5852]) == pytest.approx(8.64, abs=0.06)


def filled(scenario: Scenario) -> None:
    for amount in (50, 100):
        scenario.submit(scenario.spec("icarl", (1,), SLUG.format(amount)))
        scenario.submit(scenario.spec("finetune", (1,), SLUG.format(amount)))
    scenario.submit(scenario.spec("replay", (1,), SLUG.format(50)))
    scenario.complete_all()
    with (
        scenario.database.transaction() as session
    ):  # every scenario keeps 50 exemplars: give the larger budget's entry its own
        larger = (Summary.track_slug == SLUG.format(100), Summary.exemplars > 0)
        session.execute(update(Summary).where(*larger).values(counted_bytes=3600 + 2 * MEGABYTE))


def test_a_method_appears_with_its_best_entry_on_every_budget(scenario: Scenario) -> None:
    filled(scenario)
    with scenario.database.reading() as session:
        answer = budgets(session, [SLUG.format(100), SLUG.format(50)])
    (curve,) = answer.curves
    assert (curve.method, answer.left_out) == (
        "icarl",
        ("finetune", "replay"),
    )  # no growth of memory; not on both
    low, high = curve.points
    assert (low.track, high.track) == (SLUG.format(50), SLUG.format(100))
    assert high.megabytes == pytest.approx(2 + 3600 / MEGABYTE)
    width = high.megabytes - low.megabytes
    assert curve.auc_average == pytest.approx(width * (low.average_accuracy + high.average_accuracy) / 2)
    assert curve.mean_last == pytest.approx(low.last_accuracy)


def test_tracks_that_are_other_problems_are_not_put_on_one_axis(scenario: Scenario) -> None:
    filled(scenario)
    scenario.submit(scenario.spec("icarl", (1,), "digits-b0-inc5-m50-convnet"))
    with scenario.database.reading() as session:
        with pytest.raises(NotComparable, match="differ in more than memory"):
            budgets(session, [SLUG.format(50), "digits-b0-inc5-m50-convnet"])
        with pytest.raises(NotComparable, match="at least 2"):
            budgets(session, [SLUG.format(50)])
        with pytest.raises(NotFound):
            budgets(session, [SLUG.format(50), SLUG.format(70)])
