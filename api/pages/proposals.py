"""A job that fits: what pages propose to readers of a method, or of a track without results.

Decisions:
    * A proposal passes the checks of a submission: a track without memory gets a method that needs none.
    * Published schedules suit tens of thousands of images. For fewer images the preset `small` is proposed,
      if the method has one.
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
"""Fits every method that takes a network without weights, and needs no download."""

PRETRAINED_TRACK = "digits-b0-inc2-m0-vit_8px-letters"
"""Fits every method that needs pre-trained weights; the installation contains them."""

FEW_IMAGES = 10_000
_PREFERRED = ("icarl", "lwf", "joint")  # joint fits every track


def proposed_job(
    track: Track, datasets: Mapping[str, DatasetCard], method: str | None = None
) -> dict[str, Any]:
    """A job on a track, as the API accepts it.

    Args:
        track: one that accepts submissions.
        datasets: those of this service.
        method: its name; by default the first of some widely known methods that fits.
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
    """A job on a track that fits the method, without a download."""
    recipe = None if method is None else BY_NAME[method]
    slug = TRACK if recipe is None or recipe.pretrained != "required" else PRETRAINED_TRACK
    return proposed_job(Track.from_slug(slug), DATASETS, method)


def _preset(recipe: type[Recipe], dataset: str, datasets: Mapping[str, DatasetCard]) -> str:
    """`small`, or nothing for the published values."""
    card = datasets.get(dataset)
    is_small = card is not None and card.train_images < FEW_IMAGES
    return "small" if is_small and "small" in recipe.presets else ""


def _fits(recipe: type[Recipe], track: Track, datasets: Mapping[str, DatasetCard]) -> bool:
    try:
        validation.check(recipe.published(), track, datasets)
    except InvalidSpec:
        return False
    return True
