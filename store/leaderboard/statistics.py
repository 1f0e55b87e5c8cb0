"""`Statistic`: a number over seeds, as papers print it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import Field

MIN_SEEDS_FOR_INTERVAL = 3
"""With two seeds the interval is 6 to 13 standard deviations wide: it is no evidence and not shown."""


@dataclass(
    frozen=True, slots=True
)  # thousands of them make a leaderboard: a pydantic model takes ten times as long to make
class Statistic:
    """Mean, spread and confidence of a number over seeds."""

    mean: float
    std: Annotated[float | None, Field(description="Sample standard deviation (n − 1); None with one seed.")]
    interval: Annotated[
        tuple[float, float] | None,
        Field(
            description="95 % confidence interval of the mean (Student's t); None with fewer than 3 seeds."
        ),
    ]


def describe(values: Sequence[float]) -> Statistic:
    """The statistic of one value per seed.

    Raises:
        ValueError: without any value.
    """
    if not values:
        raise ValueError("a statistic needs at least one value")
    count = len(values)
    mean = math.fsum(values) / count
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1)) if count > 1 else None
    interval = None
    if std is not None and count >= MIN_SEEDS_FOR_INTERVAL:
        interval = t_interval(mean, std, count)
    return Statistic(mean, std, interval)


def t_interval(mean: float, std: float, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a mean of `count` values with this standard deviation (Student's t)."""
    half = _t(count - 1) * std / math.sqrt(count)
    return mean - half, mean + half


@lru_cache
def _t(degrees: int) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - scipy would double the time in which the API starts

    return float(stdtrit(degrees, 0.975))
