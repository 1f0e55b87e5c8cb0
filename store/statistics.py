"""`Statistic`: a number over seeds, as papers print it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from pydantic import Field

from cil_core.frozen import Frozen

MIN_SEEDS_FOR_INTERVAL = 3
"""With two seeds the interval is 6 to 13 standard deviations wide: it says nothing and is not shown."""


class Statistic(Frozen):
    """Mean, spread and confidence of a number over seeds."""

    mean: float
    std: float | None = Field(description="Sample standard deviation (n − 1); None with one seed.")
    interval: tuple[float, float] | None = Field(description="95 % confidence interval of the mean (Student's t); None with fewer than 3 seeds.")


def describe(values: Sequence[float]) -> Statistic:
    """The statistic of one value a seed.

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
        half = _t(count - 1) * std / math.sqrt(count)
        interval = (mean - half, mean + half)
    return Statistic.model_construct(mean=mean, std=std, interval=interval)  # thousands of them make a leaderboard, and numbers need no validation


@lru_cache
def _t(degrees: int) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - scipy would double the time in which the API starts

    return float(stdtrit(degrees, 0.975))
