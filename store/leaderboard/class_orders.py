"""How much the class order matters: the spread over orders, apart from the spread over seeds.

Two tracks that differ in the class order alone are *sisters*. For a recipe with several seeds on each of n
orders, one-way random effects: the variance over seeds is the mean of the variances within the orders. The
variance
    over
orders is that of the orders' means, less the share that seeds alone would cause.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field
from sqlalchemy.orm import Session

from cil_core.spec.base import Frozen
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import entries
from store.leaderboard.tracks import similar_tracks, without


class OrderSensitivity(Frozen):
    """A recipe over several class orders."""

    method: str
    title: str
    variant: str
    tracks: tuple[str, ...] = Field(description="Slugs, one per order.")
    means: tuple[float, ...] = Field(
        description="Average incremental accuracy under each order, mean over seeds."
    )
    mean: float
    std_over_orders: float = Field(
        description="Standard deviation due to the order; 0 where seeds explain all of it."
    )
    std_over_seeds: float | None = Field(
        description="Standard deviation over seeds under one order; None if no order has two seeds."
    )


def order_sensitivity(session: Session, slug: str) -> tuple[OrderSensitivity, ...]:
    """Every recipe on a track and at least one of its sisters, the most sensitive first."""
    by_recipe: dict[str, list[Entry]] = {}
    for sister in similar_tracks(
        session, slug, lambda spec: {**spec, "protocol": without(spec["protocol"], "class_order")}
    ):
        for entry in entries(session, sister):
            by_recipe.setdefault(f"{entry.recipe_digest} {entry.engine_version}", []).append(entry)
    found = [_describe(group) for group in by_recipe.values() if len(group) > 1]
    return tuple(sorted(found, key=lambda one: -one.std_over_orders))


def _describe(group: Sequence[Entry]) -> OrderSensitivity:
    means = [entry.metrics["average_accuracy"].mean for entry in group]
    spreads = [
        (std**2, len(entry.runs))
        for entry in group
        if (std := entry.metrics["average_accuracy"].std) is not None
    ]
    within = math.fsum(variance for variance, _ in spreads) / len(spreads) if spreads else None
    mean = math.fsum(means) / len(means)
    between = math.fsum((value - mean) ** 2 for value in means) / (len(means) - 1)
    by_seeds = (
        within * math.fsum(1 / len(entry.runs) for entry in group) / len(group) if within is not None else 0.0
    )
    return OrderSensitivity(
        method=group[0].method,
        title=group[0].title,
        variant=group[0].variant,
        tracks=tuple(entry.track_slug for entry in group),
        means=tuple(means),
        mean=mean,
        std_over_orders=math.sqrt(max(0.0, between - by_seeds)),
        std_over_seeds=None if within is None else math.sqrt(within),
    )
