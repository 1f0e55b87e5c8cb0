"""Ranks, bands of entries without a significant difference, median ranks over seeds, and the Pareto frontier.

Decisions:
    * Ranks are standard competition ranks (1, 1, 3): equal scores share a rank, and without a score there is
      no rank. Scores that differ by rounding only are equal.
    * Ranks follow the requested sort; bands exist only where the sort is average accuracy.
    * Upper bounds have no place, and tracks for tuning have no ranks: their entries only get the frontier.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import le
from statistics import median

import numpy as np

from store.leaderboard.significance import ALPHA, holm, t_tests

Costs = tuple[float, ...]

_DECIMALS = 12
"""Differences in later decimals are rounding errors."""


@dataclass(frozen=True, slots=True)
class Contender:
    """An entry in the competition.

    Attributes:
        id: the entry.
        accuracies: average accuracy by seed.
        kept_bytes: memory; less is better.
        train_seconds: time; less is better. None if it was not recorded.
        score: the number that ranks, negated where less is better; None where the entry lacks it.
    """

    id: str
    accuracies: Mapping[int, float]
    kept_bytes: int
    train_seconds: float | None
    score: float | None

    @property
    def costs(self) -> Costs:
        """Negative accuracy, bytes, seconds; an unrecorded time dominates nothing."""
        mean = math.fsum(self.accuracies.values()) / len(self.accuracies)
        return (-mean, self.kept_bytes, math.inf if self.train_seconds is None else self.train_seconds)


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of one entry; `Entry` documents each field."""

    rank: int | None = None
    median_rank: float | None = None
    band: int | None = None
    pareto: bool = False


def placements(contenders: Sequence[Contender], *, ranked: bool, banded: bool) -> dict[str, Placement]:
    """The place of each contender, by its entry.

    Args:
        contenders: by score, the best first.
        ranked: whether they have ranks at all.
        banded: whether the score is average accuracy, so that bands exist.
    """
    best = frontier({one.id: one.costs for one in contenders})
    ranks = _ranks(contenders) if ranked else {}
    medians = _median_ranks(contenders) if ranked else {}
    bands = _bands(contenders) if ranked and banded else {}
    return {
        one.id: Placement(ranks.get(one.id), medians.get(one.id), bands.get(one.id), one.id in best)
        for one in contenders
    }


def comparable(score: float) -> float:
    """A score without its rounding errors: scores that are equal but for these compare equal."""
    return round(score, _DECIMALS)


def frontier(costs: Mapping[str, Costs]) -> set[str]:
    """The names that no other dominates: none is as cheap in everything and cheaper in something.

    Args:
        costs: by name, numbers of which less is better, equally many per name.
    """
    found: dict[str, Costs] = {}  # sorted by costs, a name comes after every name that dominates it
    for name, cost in sorted(costs.items(), key=lambda item: item[1]):
        if not any(better != cost and all(map(le, better, cost)) for better in found.values()):
            found[name] = cost
    return set(found)


def _bands(contenders: Sequence[Contender]) -> dict[str, int]:
    """By entry, the number of its band.

    A band ends before the first entry that differs significantly from the band's first one (paired t test,
    corrected for all entries that follow).
    """
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


def _ranks(contenders: Sequence[Contender]) -> dict[str, int]:
    scores = {one.id: comparable(one.score) for one in contenders if one.score is not None}
    ascending = sorted(scores.values())
    return {name: _rank_in(ascending, score) for name, score in scores.items()}


def _median_ranks(contenders: Sequence[Contender]) -> dict[str, float]:
    """By entry, the median over its seeds of its rank among the entries that have the seed."""
    by_seed: dict[int, list[float]] = {}
    for one in contenders:
        for seed, accuracy in one.accuracies.items():
            by_seed.setdefault(seed, []).append(comparable(accuracy))
    for values in by_seed.values():
        values.sort()
    return {
        one.id: median(
            _rank_in(by_seed[seed], comparable(accuracy)) for seed, accuracy in one.accuracies.items()
        )
        for one in contenders
    }


def _rank_in(ascending: Sequence[float], score: float) -> int:
    """1 plus the number of better scores."""
    return 1 + len(ascending) - bisect_right(ascending, score)
