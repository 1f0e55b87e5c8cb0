"""Recipe of X-DER, DER++ that prepares classes to come."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.recipes.rehearsal import MAMMOTH
from cil_core.spec.schedule import Schedule

SHORT = SMALL.rescaled(10)
"""`SMALL` for methods whose steps cost several times as much."""


class XDERRecipe(Recipe):
    """eXtended Dark Experience Replay."""

    title = "X-DER"
    family = "rehearsal"
    summary = (
        "DER++ that writes into stored logits what was learnt later, and trains the outputs of classes to "
        "come before their images arrive."
    )
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="boschini2022xder",
        title="Class-Incremental Continual Learning into the eXtended DER-verse",
        authors="Boschini, Matteo and Bonicelli, Lorenzo and Buzzega, Pietro and Porrello, Angelo and "
        "Calderara, Simone",
        venue="IEEE Transactions on Pattern Analysis and Machine Intelligence (TPAMI)",
        year=2022,
        arxiv="2201.00766",
    )
    differs = (
        "Tasks may differ in size; mammoth divides labels by one size. Where an image's own stored logit is "
        "not positive, new logits are shifted below it; mammoth's scaling reverses their order there. "
        "Images of new classes are kept at random. Strong views are a random resized crop and the track's "
        "augmentation; mammoth has its own. One stored version of mammoth draws two views and sets the "
        "similarity term to 0; here four views and weight 3000 are the default. The first of two draws of a "
        "step updates stored logits, which are computed in evaluation mode. The number of classes of the "
        "whole protocol is known from the "
        "start, as in mammoth."
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "views": 2,
            "contrast_images": 16,
            "similarity_weight": 30.0,
            "first_task": SHORT,
            "later_tasks": SHORT,
        }
    }

    name: Literal["x-der"] = "x-der"
    first_task: Schedule = Field(
        default=MAMMOTH, description="Schedule of the first task (mammoth, CIFAR-100)."
    )
    later_tasks: Schedule = Field(
        default=MAMMOTH, description="Schedule of every later task: the first task's (mammoth, CIFAR-100)."
    )
    alpha: float = Field(
        default=0.3, ge=0, le=1000, description="α, weight of the distance to stored logits (mammoth)."
    )
    beta: float = Field(
        default=0.8, ge=0, le=1000, description="β, weight of the cross-entropy of exemplars (mammoth)."
    )
    ratio: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="γ: a transplanted logit is at most γ times that of the image's own class (mammoth).",
    )
    contrast_weight: float = Field(
        default=0.05,
        ge=0,
        le=1000,
        description="Weight of the contrast in outputs of classes to come (mammoth).",
    )
    contrast_temperature: float = Field(
        default=5.0, gt=0, le=100, description="Temperature of that contrast (mammoth)."
    )
    contrast_images: int = Field(
        default=64, ge=1, le=65_536, description="Exemplars beside the batch in that contrast (mammoth)."
    )
    views: int = Field(default=4, ge=2, le=100, description="Strong views of each image in it (mammoth).")
    similarity_weight: float = Field(
        default=3000.0,
        ge=0,
        le=1e6,
        description="Weight of preserving stored similarities in outputs of classes to come (mammoth).",
    )
    margin_weight: float = Field(
        default=0.1,
        ge=0,
        le=1000,
        description="Weight of the margins that keep the own task above classes to come, and new classes "
        "above old ones (mammoth).",
    )
    margin: float = Field(default=0.3, ge=0, le=100, description="η, both margins (mammoth).")
