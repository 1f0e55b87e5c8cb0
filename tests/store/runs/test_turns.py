"""Owners take turns: who has the fewest running runs for their share goes first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from store import runs
from store.access.accounts import create_user, set_share
from store.queries.positions import Backlog, queue_position, runs_before

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def users(scenario: Scenario, **shares: int) -> list[str]:
    with scenario.database.transaction() as session:
        made = [create_user(session, name) for name in shares]
        for user, share in zip(made, shares.values(), strict=True):
            set_share(session, user.id, share)
        return [user.id for user in made]


def owner_of(scenario: Scenario, claim: runs.Claim) -> str:
    return scenario.run(claim.run_id).owner


def many(scenario: Scenario, user: str | None, count: int, first: int = 1, **options: object) -> None:
    scenario.submit(scenario.spec(seeds=tuple(range(first, first + count))), user_id=user, **options)


def test_two_users_share_the_workers_whatever_their_queues(scenario: Scenario) -> None:
    ada, bob = users(scenario, ada=1, bob=1)
    many(scenario, ada, 20)
    many(scenario, bob, 3, first=100)
    claimed = [owner_of(scenario, scenario.claim()) for _ in range(6)]
    assert Counter(claimed) == {ada: 3, bob: 3}
    assert {owner_of(scenario, scenario.claim()) for _ in range(4)} == {ada}


def test_a_single_worker_serves_users_in_turn(scenario: Scenario) -> None:
    ada, bob, eve = users(scenario, ada=1, bob=1, eve=1)
    for place, user in enumerate((ada, bob, eve)):
        many(scenario, user, 3, first=100 * place + 1)
    claimed = []
    for _ in range(9):
        claim = scenario.claim()
        claimed.append(owner_of(scenario, claim))
        scenario.complete(claim)
    assert [set(claimed[start : start + 3]) for start in (0, 3, 6)] == [{ada, bob, eve}] * 3


def test_a_user_with_a_larger_share_has_as_many_times_the_workers(scenario: Scenario) -> None:
    ada, bob = users(scenario, ada=3, bob=1)
    many(scenario, ada, 20)
    many(scenario, bob, 20, first=100)
    assert Counter(owner_of(scenario, scenario.claim()) for _ in range(8)) == {ada: 6, bob: 2}


def test_priority_counts_within_a_user_only(scenario: Scenario) -> None:
    ada, bob = users(scenario, ada=1, bob=1)
    many(scenario, ada, 2)
    many(scenario, ada, 1, first=50, priority=9)
    many(scenario, bob, 1, first=100)
    claims = [scenario.claim() for _ in range(4)]
    assert [claim.spec.seed for claim in claims if owner_of(scenario, claim) == ada] == [50, 1, 2]
    assert bob in [owner_of(scenario, claim) for claim in claims[:2]]


def test_runs_without_a_user_take_turns_as_one_owner(scenario: Scenario) -> None:
    (ada,) = users(scenario, ada=1)
    many(scenario, None, 10)
    many(scenario, ada, 2, first=100)
    assert Counter(owner_of(scenario, scenario.claim()) for _ in range(4)) == {"": 2, ada: 2}


def test_a_user_whose_runs_need_other_data_loses_no_turn_to_nobody(scenario: Scenario) -> None:
    ada, bob = users(scenario, ada=1, bob=1)
    scenario.submit(scenario.spec(track="cifar100-b0-inc10-m2000-resnet32"), user_id=ada)
    many(scenario, bob, 2, first=100)
    only_digits = replace(scenario.worker, datasets=frozenset({"digits"}))
    assert {owner_of(scenario, scenario.claim(only_digits)) for _ in range(2)} == {bob}
    assert scenario.try_claim(only_digits) is None


def test_running_runs_of_another_queue_do_not_count(scenario: Scenario) -> None:
    ada, bob = users(scenario, ada=1, bob=1)
    many(scenario, ada, 3, queue="gpu")
    for _ in range(3):
        scenario.claim(replace(scenario.worker, queue="gpu"))
    many(scenario, ada, 2, first=50)
    many(scenario, bob, 2, first=100)
    assert Counter(owner_of(scenario, scenario.claim()) for _ in range(4)) == {ada: 2, bob: 2}


@pytest.mark.parametrize(
    ("own", "before", "others", "count"),
    [
        (Backlog(1), 0, [], 0),
        (Backlog(1), 0, [Backlog(1000)], 1),
        (Backlog(5), 4, [Backlog(1000)], 5),
        (Backlog(5), 4, [Backlog(2)], 2),
        (Backlog(1), 0, [Backlog(1000, running=3)], 0),
        (Backlog(1, running=2), 0, [Backlog(1000, running=1)], 2),
        (Backlog(3, share=3), 2, [Backlog(1000)], 1),
        (Backlog(1), 0, [Backlog(10), Backlog(10)], 2),
    ],
)
def test_runs_of_others_count_as_far_as_they_start_first(
    own: Backlog, before: int, others: list[Backlog], count: int
) -> None:
    assert runs_before(own, before, others) == count


def test_the_position_behind_a_long_queue_of_another_user_is_short(scenario: Scenario) -> None:
    ada, bob = users(scenario, ada=1, bob=1)
    many(scenario, ada, 50)
    job = scenario.submit(scenario.spec(seeds=(100,)), user_id=bob)
    with scenario.database.reading() as session:
        assert queue_position(session, job) == 1


def test_a_share_of_less_than_one_is_refused(scenario: Scenario) -> None:
    (ada,) = users(scenario, ada=1)
    with scenario.database.transaction() as session, pytest.raises(ValueError, match="1 to 100, not 0"):
        set_share(session, ada, 0)
