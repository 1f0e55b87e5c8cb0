"""The script of a chaotic time: a seed gives one script, on every machine.

Which process a step hits depends on the moment; `among` picks one of the candidates.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

SCHEDULE = {"epochs": 6, "batch_size": 32, "lr": 0.05, "milestones": []}
RECIPES = [
    {"name": name, "first_task": SCHEDULE, "later_tasks": SCHEDULE}
    for name in ("finetune", "replay", "icarl")
]
SEEDS = (1, 2, 3)
EXTRA_ROUNDS = 10
"""Rounds after the time is over for faults that have not taken effect yet."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Act:
    """What a user does if the queue has room, and the rest that follows, as a share of the longest rest."""

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
    """Share of the longest delay, for faults that delay something."""


def script(seed: int, faults: Sequence[str]) -> Iterator[Step]:
    """Steps without end, in rounds: each round contains every fault once.

    Args:
        seed: decides everything.
        faults: their names.
    """
    chance = random.Random(seed)
    while True:
        for fault in chance.sample(list(faults), len(faults)):
            acts = tuple(_act(chance) for _ in range(chance.randint(1, 4)))
            yield Step(acts, fault, where=chance.random(), delay=chance.random())


def played(
    steps: Iterator[Step],
    faults: Collection[str],
    took_effect: Callable[[], Collection[str]],
    is_over: Callable[[], bool],
) -> Iterator[Step]:
    """The steps to play: whole rounds until the time is over, at least one; then those whose fault has never
    taken effect.

    Args:
        steps: of a script.
        faults: their names.
        took_effect: the names of those that have taken effect by now.
        is_over: whether the time is over.
    """
    extra = 0
    for number, step in enumerate(steps):
        if number and number % len(faults) == 0 and is_over():
            if extra == EXTRA_ROUNDS or set(faults) <= set(took_effect()):
                return
            extra += 1
        if not extra or step.fault not in took_effect():
            yield step


def among(candidates: Sequence[T], where: float) -> T:
    """The candidate at a share of the way through the list."""
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
