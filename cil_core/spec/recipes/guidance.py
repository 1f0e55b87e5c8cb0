"""Recipes of expandable networks that learn more than labels: TagFex and BEEF."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

SHORT = SMALL.rescaled(10)
"""`SMALL` for methods whose steps cost several times as much."""


class TagFexRecipe(Recipe):
    """Task-agnostic guided feature expansion."""

    title = "TagFex"
    family = "expansion"
    summary = (
        "DER with one more network that learns all tasks by contrast alone; every new branch attends to it, "
        "so that branches learn features that old ones lack."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    grows = "backbone"
    citation: ClassVar[Citation | None] = Citation(
        key="zheng2025tagfex",
        title="Task-Agnostic Guided Feature Expansion for Class-Incremental Learning",
        authors="Zheng, Bowen and Zhou, Da-Wei and Ye, Han-Jia and Zhan, De-Chuan",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2025,
        arxiv="2503.00823",
    )
    differs = (
        "A batch without new images adds 0 to the terms of merged features; in the official code it makes "
        "them NaN. Cosines of all pairs are one matrix product. The task-agnostic network is kept and "
        "counted among kept bytes; classification does not run it, as PyCIL does. Compare with DER at equal "
        "augmentation only."
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "pycil": {"blind_old_rows": False},
        "small": {"autoaugment": False, "first_task": SHORT, "later_tasks": SHORT},
    }

    name: Literal["tagfex"] = "tagfex"
    first_task: Schedule = Field(
        default=Schedule(epochs=200, milestones=(60, 120, 170), weight_decay=5e-4),
        description="Schedule of the first task (official code, PyCIL).",
    )
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, milestones=(80, 120, 150), weight_decay=2e-4),
        description="Schedule of every later task (official code, PyCIL).",
    )
    auxiliary_weight: float = Field(
        default=2.0, ge=0, le=100, description="Weight of the auxiliary loss (official code, PyCIL)."
    )
    inheritance: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Share of the last branch in a new one's weights; the rest is the task-agnostic "
        "network's (official code, PyCIL).",
    )
    blind_old_rows: bool = Field(
        default=True,
        description="Whether rows of old classes start with weights 0 on the new branch (official code), or "
        "with random ones (PyCIL).",
    )
    contrast_weight: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="Weight of both contrast terms (official code, PyCIL).",
    )
    recall_weight: float = Field(
        default=2.0,
        ge=0,
        le=100,
        description="Weight of the contrast with the old task-agnostic network, within the above (official "
        "code, PyCIL).",
    )
    contrast_temperature: float = Field(
        default=0.2, gt=0, le=100, description="Temperature of both contrast terms (official code, PyCIL)."
    )
    transfer_temperature: float = Field(
        default=2.0,
        gt=0,
        le=100,
        description="Softmax temperature of the transfer from merged features (official code, PyCIL).",
    )
    autoaugment: bool = Field(
        default=True,
        description="AutoAugment and Cutout after the dataset's own augmentation, in both views (official "
        "code, PyCIL).",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:
        """Require maps to merge, and grey or colour images for AutoAugment."""
        if not backbone.stages:
            raise self.refuse(
                f"it merges the last maps of a backbone; {backbone.name} has none", "track", "backbone"
            )
        if self.autoaugment and dataset.channels not in {1, 3}:
            raise self.refuse(
                f"AutoAugment needs 1 or 3 channels, and {dataset.name!r} has {dataset.channels}",
                "method",
                "autoaugment",
            )


COSINE = Schedule(epochs=200, curve="cosine", weight_decay=5e-4)
"""First task of BEEF (official code, PyCIL)."""


class BEEFRecipe(Recipe):
    """Bi-compatible energy-based expansion and fusion, isolated form."""

    title = "BEEF-iso"
    family = "expansion"
    summary = (
        "Trains a branch per task alone, as an energy model that takes every old task for one class, and "
        "fuses branches by one scale and shift per old task."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    grows = "backbone"
    citation: ClassVar[Citation | None] = Citation(
        key="wang2023beef",
        title="BEEF: Bi-Compatible Class-Incremental Learning via Energy-Based Expansion and Fusion",
        authors="Wang, Fu-Yun and Zhou, Da-Wei and Liu, Liu and Ye, Han-Jia and Bian, Yatao and Zhan, "
        "De-Chuan and Zhao, Peilin",
        venue="International Conference on Learning Representations (ICLR)",
        year=2023,
    )
    differs = (
        "Only the isolated form was released. Biases of old classes are added up in training and testing; "
        "both public codes drop them there (preset `pycil`). Each negative's own column is removed from the "
        "softmax; public codes set the columns of all labels of the batch to about 0. All frozen branches "
        "are in evaluation mode; public codes freeze the statistics of the first one alone. The balanced "
        "set of the fusion overlaps the training set, as in both."
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "pycil": {"old_bias": False},
        "imagenet": {"energy_weight": 0.1, "alignment": 3.0},
        "small": {
            "first_task": SHORT,
            "later_tasks": SHORT,
            "fusion": Schedule(epochs=20, batch_size=16, lr=0.05, curve="cosine", weight_decay=5e-4),
        },
    }

    name: Literal["beef"] = "beef"
    first_task: Schedule = Field(
        default=COSINE, description="Schedule of the first task (official code, PyCIL)."
    )
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, curve="cosine", weight_decay=5e-4),
        description="Expansion in every later task (official code, PyCIL).",
    )
    fusion: Schedule = Field(
        default=Schedule(epochs=60, lr=0.05, curve="cosine", weight_decay=5e-4),
        description="Fusion on balanced data, from the second task on (official code, PyCIL).",
    )
    energy_weight: float = Field(
        default=0.01,
        ge=0,
        le=100,
        description="w, weight of the negatives (official code, PyCIL: 0.01; ImageNet 0.1).",
    )
    alignment: float = Field(
        default=1.7,
        gt=0,
        le=100,
        description="Divides the logits of old tasks in the expansion (official code, PyCIL: 1.7; ImageNet "
        "3).",
    )
    steps: int = Field(
        default=3, ge=1, le=100, description="Langevin steps per negative (official code, PyCIL)."
    )
    rate: float = Field(
        default=0.01, gt=0, le=100, description="Factor of the gradient in a step (official code, PyCIL)."
    )
    noise: float = Field(default=0.001, ge=0, le=100, description="Noise of a step (official code, PyCIL).")
    old_bias: bool = Field(
        default=True,
        description="Whether biases of old classes count in fusion and testing (paper); both public codes "
        "leave them out.",
    )
