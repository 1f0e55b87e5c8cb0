"""`Statistic`: a number over seeds, as papers print it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
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
    count, mean = len(values), float(np.mean(values))
    std = float(np.std(values, ddof=1)) if count > 1 else None
    if std is None or count < MIN_SEEDS_FOR_INTERVAL:
        return Statistic(mean=mean, std=std, interval=None)
    half = _t(count - 1) * std / math.sqrt(count)
    return Statistic(mean=mean, std=std, interval=(mean - half, mean + half))


@lru_cache
def _t(degrees: int) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - scipy would double the time in which the API starts

    return float(stdtrit(degrees, 0.975))
