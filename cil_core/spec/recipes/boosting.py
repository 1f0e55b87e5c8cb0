"""The recipe of FOSTER, which boosts a network with a second one and compresses both into one."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

FOSTER_FIRST = Schedule(epochs=200, curve="cosine", weight_decay=5e-4)
FOSTER_BOOSTING = Schedule(epochs=170, curve="cosine", weight_decay=5e-4)
FOSTER_COMPRESSION = Schedule(epochs=130, curve="cosine", weight_decay=0)
SMALL_COMPRESSION = Schedule(epochs=15, batch_size=32, lr=0.05, curve="cosine", weight_decay=0)


class FOSTERRecipe(Recipe):
    """FOSTER: a second extractor learns what the first one misses; then both are distilled into one."""

    title = "FOSTER"
    family = "expansion"
    summary = (
        "Boosts the frozen network with a new extractor on the residual, then compresses both into one "
        "network by "
        "balanced distillation."
    )
    classifiers = ("linear", "boosted")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="wang2022foster",
        title="FOSTER: Feature Boosting and Compression for Class-Incremental Learning",
        authors="Wang, Fu-Yun and Zhou, Da-Wei and Ye, Han-Jia and Zhan, De-Chuan",
        venue="European Conference on Computer Vision (ECCV)",
        year=2022,
        arxiv="2204.04662",
    )
    differs = (
        "Class weights follow the number of images per class; the official code assumes 500 per new class. "
        "Published curves of PyCIL and the survey are those of the boosted network before compression, "
        "here the "
        "classifier `boosted`."
    )
    presets = {
        "paper": {"autoaugment": True},
        "paper-b0-inc10": {
            "autoaugment": True,
            "boosting_beta": (0.98, 0.975, 0.97, 0.965, 0.96, 0.955, 0.95, 0.945, 0.94),
        },
        "small": {"first_task": SMALL, "later_tasks": SMALL, "compression": SMALL_COMPRESSION},
    }

    name: Literal["foster"] = "foster"
    first_task: Schedule = Field(
        default=FOSTER_FIRST, description="Schedule of the first task (official code)."
    )
    later_tasks: Schedule = Field(
        default=FOSTER_BOOSTING, description="Boosting, in every later task (official code)."
    )
    compression: Schedule = Field(
        default=FOSTER_COMPRESSION,
        description="Compression, after boosting (official code): no weight decay.",
    )
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="Softmax temperature of both distillations (official code)."
    )
    distillation_weight: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="Weight of keeping the old outputs while boosting (official code).",
    )
    boosting_beta: float | tuple[float, ...] = Field(
        default=0.96,
        description="β₁ of the class weights while boosting (official code, B0-Inc5; PyCIL); or one for "
        "every later task "
        "in order, the last for all after it.",
    )
    compression_beta: float = Field(
        default=0.97, ge=0, lt=1, description="β₂ of the class weights in compression (official code)."
    )
    new_classes_from_old_features: bool = Field(
        default=True,
        description="Whether new classes use old features; false holds that block at 0 (official: `az`).",
    )
    align_boosted: bool = Field(
        default=False,
        description="Align the boosted network's new rows before compression (official option, off).",
    )
    autoaugment: bool = Field(
        default=False,
        description="AutoAugment and Cutout after the dataset's own augmentation: official code yes, PyCIL "
        "no.",
    )

    @field_validator("boosting_beta")
    @classmethod
    def _betas_are_shares(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        betas = value if isinstance(value, tuple) else (value,)
        if not betas or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"boosting_beta: {value}; it is a number in [0, 1), or a list of such numbers")
        return value

    def boosting_beta_of(self, task: int) -> float:
        """β₁ in `task`, counted from 0; boosting begins with task 1."""
        if isinstance(self.boosting_beta, tuple):
            return self.boosting_beta[min(task, len(self.boosting_beta)) - 1]
        return self.boosting_beta

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002
        """Require grey or colour images for AutoAugment."""
        if self.autoaugment and dataset.channels not in {1, 3}:
            raise self.refuse(
                f"AutoAugment needs 1 or 3 channels, and {dataset.name!r} has {dataset.channels}",
                "method",
                "autoaugment",
            )
