"""What will be done, decided before anything is: a seed gives one script, whatever the machine does meanwhile.

Whom a step meets still depends on the moment; `among` chooses one of those who are there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

SCHEDULE = {"epochs": 6, "batch_size": 32, "lr": 0.05, "milestones": []}
RECIPES = [
    {"name": name, "first_task": SCHEDULE, "later_tasks": SCHEDULE}
    for name in ("finetune", "replay", "icarl")
]
SEEDS = (1, 2, 3)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Act:
    """What a user does, should the queue have room, and how long the user then rests, as a share of the longest rest."""

    recipe: dict[str, Any]
    seeds: tuple[int, ...]
    cancels: bool
    where: float
    rest: float


@dataclass(frozen=True, slots=True)
class Step:
    """Some acts of users, then one fault."""

    acts: tuple[Act, ...]
    fault: str
    where: float
    delay: float
    """Share of the longest delay of whatever the fault delays."""


def script(seed: int, faults: Sequence[str]) -> Iterator[Step]:
    """Steps without end; of every `len(faults)` steps each fault has one.

    Args:
        seed: decides everything.
        faults: their names.
    """
    chance = random.Random(seed)
    while True:
        for fault in chance.sample(list(faults), len(faults)):
            acts = tuple(_act(chance) for _ in range(chance.randint(1, 4)))
            yield Step(acts, fault, where=chance.random(), delay=chance.random())


def among(candidates: Sequence[T], where: float) -> T:
    """The one at a share of the way through."""
    return candidates[int(where * len(candidates))]


def _act(chance: random.Random) -> Act:
    seeds = tuple(chance.sample(SEEDS, chance.choice((1, 2))))
    return Act(
        chance.choice(RECIPES),
        seeds,
        cancels=chance.random() < 0.1,
        where=chance.random(),
        rest=chance.random(),
    )
