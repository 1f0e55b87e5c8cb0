"""Recipes of the methods whose classifier is a ridge regression on a frozen backbone."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.recipes.base import FIRST_TASK, SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule


class RanPACRecipe(Recipe):
    """Random projections and ridge regression."""

    title = "RanPAC"
    family = "prototype"
    summary = (
        "Expands frozen features by random projections; sums over all tasks give the joint ridge regression."
    )
    min_images = 2
    citation: ClassVar[Citation | None] = Citation(
        key="mcdonnell2023ranpac",
        title="RanPAC: Random Projections and Pre-trained Models for Continual Learning",
        authors="McDonnell, Mark D. and Gong, Dong and Parvaneh, Amin and Abbasnejad, Ehsan "
        "and van den Hengel, Anton",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2023,
        arxiv="2307.02251",
    )
    differs = (
        "Nothing adapts a pretrained network to the first task: phase 1 is left out, so figures compare with "
        "the paper's rows without it. Without pretrained weights, the backbone trains on the first task. "
        "Sums are float64, the official code's float32; the split that chooses the ridge follows the seed."
    )
    presets = {
        "compact": {"expansion": 2000},
        "no-projection": {"expansion": 0},
        "small": {"first_task": SMALL, "expansion": 500},
    }

    name: Literal["ranpac"] = "ranpac"
    first_task: Schedule = Field(
        default=FIRST_TASK,
        description="Schedule of the first task, without pretrained weights (PyCIL; the paper has none).",
    )
    expansion: int = Field(
        default=10_000,
        ge=0,
        le=32_768,
        description="M, random features; 0 uses the features as they are. "
        "The method keeps M² numbers of 8 bytes (paper, official code).",
    )
    ridge: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="λ, the weight of the ridge; null chooses among 10⁻⁸ … 10⁸ after each task, by the "
        "squared error on a fifth of its images (official code).",
    )
