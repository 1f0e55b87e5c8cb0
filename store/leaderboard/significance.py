"""Is a difference real? Paired tests over shared seeds, and ranks over several tracks.

Decisions:
    * Seeds pair runs: the same seed means the same initialisation and data order wherever two recipes agree.
    * With fewer than three pairs there are differences and no tests: two points support none.
    * scipy is imported with the first test: it would double the start-up time of the API.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import Field

from cil_core.spec.base import Frozen
from store.leaderboard.statistics import MIN_SEEDS_FOR_INTERVAL, t_interval

RESAMPLES = 10_000
ALPHA = 0.05
_NO_SPREAD = 1e-12
"""Differences of fractions that vary less are equal: they vary by rounding only."""


class PairedTest(Frozen):
    """Differences of one number between two entries over shared seeds; positive where the first is larger."""

    seeds: tuple[int, ...]
    differences: tuple[float, ...] = Field(description="One per shared seed.")
    mean: float | None = Field(description="None without a shared seed.")
    interval: tuple[float, float] | None = Field(
        description="95 % confidence interval of the mean difference (Student's t); "
        "None with fewer than 3 seeds."
    )
    bootstrap: tuple[float, float] | None = Field(
        description="95 % percentile interval of the mean over 10 000 resamples of the seeds, with a fixed "
        "seed."
    )
    effect: float | None = Field(
        description="Cohen's d_z: mean difference over its standard deviation; None if that is 0 or unknown."
    )
    t_p: float | None = Field(description="Two-sided p of the paired t test.")
    t_p_holm: float | None = Field(
        description="The same, corrected for all entries compared by this number (Holm)."
    )
    wilcoxon_p: float | None = Field(description="Two-sided p of Wilcoxon's signed-rank test, exact.")
    wilcoxon_least_p: float | None = Field(
        description="The least p that this test can give for n differences: 2 / 2^n. "
        "Above 0.05 it can never be significant."
    )
    wins: int
    ties: int
    losses: int


def paired(seeds: Sequence[int], first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Compare two entries over the seeds they share.

    Args:
        seeds: the shared ones.
        first: one value per seed.
        second: likewise.
    """
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    enough = len(differences) >= MIN_SEEDS_FOR_INTERVAL
    moving = differences[differences != 0]
    return PairedTest(
        seeds=tuple(seeds),
        differences=tuple(differences.tolist()),
        mean=float(differences.mean()) if len(differences) else None,
        interval=_t_interval(differences) if enough else None,
        bootstrap=_bootstrap(differences) if enough else None,
        effect=_effect(differences) if enough else None,
        t_p=t_tests(differences[None])[0] if enough else None,
        t_p_holm=None,
        wilcoxon_p=_wilcoxon(moving) if enough else None,
        wilcoxon_least_p=2 / 2 ** len(moving) if enough and len(moving) else None,
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
    )


def corrected(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """The same tests with `t_p_holm`, corrected for all of them that have a p."""
    adjusted = iter(holm([test.t_p for test in tests if test.t_p is not None]))
    return [
        test if test.t_p is None else test.model_copy(update={"t_p_holm": next(adjusted)}) for test in tests
    ]


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p values, in their order."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, least = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        least = max(least, min(1.0, (len(values) - place) * values[index]))
        adjusted[index] = least
    return adjusted


class Ranking(Frozen):
    """Methods over several tracks: average ranks, and how far apart they must be (Demšar, JMLR 2006)."""

    names: tuple[str, ...] = Field(description="By average rank.")
    average_ranks: tuple[float, ...] = Field(description="1 is best; ties share their mean.")
    friedman_p: float | None = Field(
        description="p of Friedman's test for any difference; None with fewer than 3 methods."
    )
    critical_difference: float = Field(
        description="Nemenyi, α = 0.05: average ranks closer than this do not differ significantly."
    )


def rank(names: Sequence[str], scores: Sequence[Sequence[float]]) -> Ranking:
    """Average ranks of methods.

    Args:
        names: of the methods, at least two.
        scores: per track, one score per method, the larger the better; at least two tracks.
    """
    from scipy import stats  # noqa: PLC0415 - see above

    table = np.asarray(scores, dtype=float)  # (tracks, methods)
    tracks, methods = table.shape
    averages = stats.rankdata(-table, axis=1).mean(axis=0)
    friedman = (
        float(stats.friedmanchisquare(*table.T).pvalue)
        if methods > 2 and bool((table != table[:, :1]).any())
        else None
    )
    quantile = float(stats.studentized_range.ppf(1 - ALPHA, methods, np.inf)) / math.sqrt(2)
    order = np.argsort(averages, kind="stable")
    return Ranking(
        names=tuple(names[index] for index in order),
        average_ranks=tuple(float(averages[index]) for index in order),
        friedman_p=friedman,
        critical_difference=quantile * math.sqrt(methods * (methods + 1) / (6 * tracks)),
    )


def _t_interval(differences: np.ndarray) -> tuple[float, float]:
    return t_interval(float(differences.mean()), float(differences.std(ddof=1)), len(differences))


def _bootstrap(differences: np.ndarray) -> tuple[float, float]:
    drawn = np.random.default_rng(0).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _effect(differences: np.ndarray) -> float | None:
    spread = float(differences.std(ddof=1))
    return float(differences.mean()) / spread if spread > _NO_SPREAD else None


def t_tests(differences: np.ndarray) -> list[float]:
    """Two-sided p of the paired t test for each row.

    Args:
        differences: of fractions, (rows, seeds); NaN where a seed is not shared.

    Returns:
        One p per row: 1 where fewer than three seeds are shared or all differences are 0.
    """
    from scipy.special import stdtr  # noqa: PLC0415 - see above

    shared = ~np.isnan(differences)
    count = shared.sum(axis=1)
    enough = count >= MIN_SEEDS_FOR_INTERVAL
    mean = np.sum(differences, axis=1, where=shared) / np.maximum(count, 1)
    spread = np.sqrt(
        np.sum((differences - mean[:, None]) ** 2, axis=1, where=shared) / np.maximum(count - 1, 1)
    )
    moving = spread > _NO_SPREAD
    statistic = np.abs(mean) / np.where(moving, spread / np.sqrt(np.maximum(count, 1)), 1.0)
    p = np.where(moving, 2 * stdtr(np.maximum(count - 1, 1), -statistic), np.abs(mean) <= _NO_SPREAD)
    values: list[float] = np.where(enough, p, 1.0).tolist()
    return values


def _wilcoxon(moving: np.ndarray) -> float:
    if not len(moving):
        return 1.0
    sizes = abs(moving)
    if len(set(sizes)) < len(moving):
        return _signed_ranks(tuple(moving.tolist()), "auto")
    by_size = np.sign(moving[np.argsort(sizes)])
    return _signed_ranks(tuple((by_size * np.arange(1, len(moving) + 1)).tolist()), "exact")


@lru_cache(maxsize=10_000)
def _signed_ranks(moving: tuple[float, ...], method: Literal["exact", "auto"]) -> float:
    """Wilcoxon's p, cached by signed ranks.

    Differences that all vary in size determine p by their signed ranks alone, of which a few seeds have few.
    """
    from scipy import stats  # noqa: PLC0415 - see above

    return float(stats.wilcoxon(moving, method=method).pvalue)
