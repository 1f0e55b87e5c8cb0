"""Variants where there is little room."""

from __future__ import annotations

import pytest

from api.shared.variants import MAX_LENGTH, brief

LONG = "small, first_task.epochs=12, first_task.milestones=[4, 8], later_tasks.epochs=8, later_tasks.lr=0.02"


@pytest.mark.parametrize(
    "variant", ["default", "small", "temperature=3.0", "small, first_task.epochs=18, loss=bce"]
)
def test_a_short_one_stays_as_it_is(variant: str) -> None:
    assert brief(variant) == variant


def test_a_long_one_says_how_many_changes_follow() -> None:
    assert brief(LONG) == "small, first_task.epochs=12 and 3 more"
    assert (
        brief(LONG, max_length=70) == "small, first_task.epochs=12, first_task.milestones=[4, 8] and 2 more"
    )
    assert brief(LONG, max_length=len(LONG)) == LONG


def test_one_change_is_never_taken_apart() -> None:
    alone = "first_task.milestones=[10, 20, 30, 40, 50, 60, 70, 80]"
    assert len(alone) > MAX_LENGTH
    assert brief(alone) == alone
    assert brief(f"{alone}, loss=bce") == f"{alone} and 1 more"
