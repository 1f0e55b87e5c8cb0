"""Recipe of APER, which tunes a pre-trained transformer in the first task, and what sited recipes share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import Citation, Recipe
from cil_core.spec.schedule import Schedule

TUNING = Schedule(epochs=20, batch_size=48, lr=0.01, curve="cosine", weight_decay=5e-4)
"""APER with adapters, SSF or shallow prompts (RevisitingCIL)."""

SMALL_TUNING = Schedule(epochs=10, batch_size=32, lr=0.02, curve="cosine", weight_decay=5e-4)
"""For datasets of a few thousand small images, such as digits."""


class SitedRecipe(Recipe):
    """What recipes share whose methods add parameters inside a pre-trained vision transformer."""

    needs = "sites"
    pretrained = "required"

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002
        """Require a vision transformer."""
        if not backbone.sites:
            raise self.refuse(
                f"it adds parameters inside a vision transformer, and {backbone.name} is none; "
                "vit_b16 with pre-trained weights runs it",
                "track",
                "backbone",
            )


class APERRecipe(SitedRecipe):
    """First-task tuning, then class means."""

    title = "APER"
    family = "prototype"
    summary = (
        "Tunes a pre-trained transformer on the first task; class means over original and tuned features "
        "classify."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhou2023revisiting",
        title="Revisiting Class-Incremental Learning with Pre-Trained Models: "
        "Generalizability and Adaptivity are All You Need",
        authors="Zhou, Da-Wei and Cai, Zi-Wen and Ye, Han-Jia and Zhan, De-Chuan and Liu, Ziwei",
        venue="International Journal of Computer Vision (IJCV)",
        year=2024,
        arxiv="2303.07338",
    )
    differs = (
        "The default tunes adapters; presets name the paper's other four. Both branches share the original's "
        "weights unless the whole network is tuned; the official code keeps two copies. The track decides "
        "the weights."
    )
    presets = {
        "ssf": {"tuning": "ssf"},
        "vpt-shallow": {"tuning": "vpt-shallow", "size": 5},
        "vpt-deep": {
            "tuning": "vpt-deep",
            "size": 5,
            "first_task": TUNING.model_copy(update={"epochs": 5, "batch_size": 16, "lr": 0.05}),
        },
        "finetune": {
            "tuning": "finetune",
            "first_task": TUNING.model_copy(update={"epochs": 5, "batch_size": 128}),
        },
        "imagenetr": {
            "first_task": TUNING.model_copy(update={"batch_size": 24, "lr": 0.05, "weight_decay": 5e-3})
        },
        "pilot-vpt-deep": {"tuning": "vpt-deep", "size": 5},
        "small": {"size": 8, "first_task": SMALL_TUNING},
        "small-ssf": {"tuning": "ssf", "first_task": SMALL_TUNING},
        "small-vpt-shallow": {"tuning": "vpt-shallow", "size": 5, "first_task": SMALL_TUNING},
        "small-vpt-deep": {"tuning": "vpt-deep", "size": 5, "first_task": SMALL_TUNING},
        "small-finetune": {"tuning": "finetune", "first_task": SMALL_TUNING},
    }

    name: Literal["aper"] = "aper"
    first_task: Schedule = Field(
        default=TUNING,
        description="Schedule of the tuning, in the first task only (RevisitingCIL: adapters on CIFAR-100).",
    )
    tuning: Literal["adapter", "ssf", "vpt-shallow", "vpt-deep", "finetune"] = Field(
        default="adapter",
        description="What the first task tunes: parallel adapters, scales and shifts, prompt tokens before "
        "the first block or before every block, or the whole network (paper).",
    )
    size: int = Field(
        default=64,
        ge=1,
        le=1024,
        description="Rank of adapters (64), or number of prompt tokens (5); SSF and finetune have none "
        "(RevisitingCIL).",
    )
