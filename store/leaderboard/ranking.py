"""Who stands where: ranks, bands of entries that cannot be told apart, median ranks over seeds, and the Pareto frontier.

Decisions:
    * Ranks follow the order that was asked for; bands are told only where average accuracy orders.
    * An upper bound stands nowhere, and neither does anything on a track for tuning: of that only the frontier is told.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import le
from statistics import median

import numpy as np

from store.leaderboard.significance import ALPHA, holm, t_tests

Costs = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Contender:
    """What an entry competes with: average accuracy by seed, and what should be small."""

    id: str
    accuracies: Mapping[int, float]
    kept_bytes: int
    train_seconds: float | None

    @property
    def costs(self) -> Costs:
        """Error, bytes, seconds; a time that was not recorded dominates nothing."""
        mean = math.fsum(self.accuracies.values()) / len(self.accuracies)
        return (-mean, self.kept_bytes, math.inf if self.train_seconds is None else self.train_seconds)


@dataclass(frozen=True, slots=True)
class Standing:
    """The place of one entry; what each field means stands with `Entry`."""

    rank: int | None = None
    median_rank: float | None = None
    band: int | None = None
    pareto: bool = False


def standings(contenders: Sequence[Contender], *, ranked: bool, banded: bool) -> dict[str, Standing]:
    """The standing of each, by its entry.

    Args:
        contenders: the best first.
        ranked: whether they have ranks at all.
        banded: whether they come by average accuracy, so that bands can be told.
    """
    best = frontier({one.id: one.costs for one in contenders})
    medians = _median_ranks(contenders) if ranked else {}
    bands = _bands(contenders) if ranked and banded else {}
    return {
        one.id: Standing(place if ranked else None, medians.get(one.id), bands.get(one.id), one.id in best)
        for place, one in enumerate(contenders, start=1)
    }


def frontier(costs: Mapping[str, Costs]) -> set[str]:
    """Those that nobody dominates: nobody is as cheap in everything and cheaper in something. Whatever dominates another comes first by costs.

    Args:
        costs: by name, what should be small, as many numbers for each.
    """
    found: dict[str, Costs] = {}
    for name, cost in sorted(costs.items(), key=lambda item: item[1]):
        if not any(better != cost and all(map(le, better, cost)) for better in found.values()):
            found[name] = cost
    return set(found)


def _bands(contenders: Sequence[Contender]) -> dict[str, int]:
    """Each band ends before the first entry that a paired t test, corrected for all that follow, tells from the band's first."""
    seeds = sorted({seed for one in contenders for seed in one.accuracies})
    accuracies = np.array([[one.accuracies.get(seed, math.nan) for seed in seeds] for one in contenders])
    bands: dict[str, int] = {}
    begin, number = 0, 0
    while begin < len(contenders):
        number += 1
        adjusted = holm(t_tests(accuracies[begin] - accuracies[begin + 1 :]))
        length = next(
            (place for place, p in enumerate(adjusted, start=1) if p < ALPHA), len(contenders) - begin
        )
        bands |= {one.id: number for one in contenders[begin : begin + length]}
        begin += length
    return bands


def _median_ranks(contenders: Sequence[Contender]) -> dict[str, float]:
    """By entry, the median over its seeds of its rank among those that have the seed; ties share their mean rank."""
    of_seed: dict[int, list[float]] = {}
    for one in contenders:
        for seed, accuracy in one.accuracies.items():
            of_seed.setdefault(seed, []).append(accuracy)
    for values in of_seed.values():
        values.sort()
    return {
        one.id: median(_rank_in(of_seed[seed], accuracy) for seed, accuracy in one.accuracies.items())
        for one in contenders
    }


def _rank_in(ascending: Sequence[float], value: float) -> float:
    """1 for the largest."""
    low, high = bisect_left(ascending, value), bisect_right(ascending, value)
    return len(ascending) - (low + high - 1) / 2
