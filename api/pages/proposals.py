"""A job that fits: what pages propose to somebody who reads about a method, or about a track on which nothing has run.

Decisions:
    * What is proposed passes the checks of a submission: a track without memory gets a method that needs none.
    * The published schedules are made for tens of thousands of images; for fewer the preset `small` is proposed, where a method has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cil_core.spec import validation
from cil_core.spec.catalog import DATASETS, DatasetCard
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.recipes.base import Recipe
from cil_core.spec.suites import SEEDS

TRACK = "digits-b0-inc2-m50-convnet"
"""Takes every method, and needs no download."""

FEW_IMAGES = 10_000
_PREFERRED = ("icarl", "lwf", "joint")  # the last asks nothing of a track


def proposed_job(
    track: Track, datasets: Mapping[str, DatasetCard], method: str | None = None
) -> dict[str, Any]:
    """A job on a track, as the API takes it.

    Args:
        track: one that could be submitted to.
        datasets: those that exist here.
        method: which; by default the first that fits of some that are widely known.
    """
    name = method or next(
        (each for each in _PREFERRED if _fits(BY_NAME[each], track, datasets)), _PREFERRED[-1]
    )
    preset = _preset(BY_NAME[name], track.dataset, datasets)
    return {
        "method": {"name": name, **({"preset": preset} if preset else {})},
        "track": track.slug,
        "seeds": list(SEEDS),
    }


def first_job(method: str | None = None) -> dict[str, Any]:
    """A job on the track that takes every method."""
    return proposed_job(Track.from_slug(TRACK), DATASETS, method)


def _preset(recipe: type[Recipe], dataset: str, datasets: Mapping[str, DatasetCard]) -> str:
    """`small`, or nothing for the published values."""
    card = datasets.get(dataset)
    return (
        "small" if card is not None and card.train_images < FEW_IMAGES and "small" in recipe.presets else ""
    )


def _fits(recipe: type[Recipe], track: Track, datasets: Mapping[str, DatasetCard]) -> bool:
    try:
        validation.check(recipe.published(), track, datasets)
    except InvalidSpec:
        return False
    return True
