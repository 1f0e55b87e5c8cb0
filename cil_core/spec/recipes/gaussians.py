"""Recipes without exemplars that keep a Gaussian per class: EFC, EFC++ and AdaGauss."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

_CLIPPED = SMALL.model_copy(update={"clip_norm": 1.0})
_SMALL_EFC = {
    "first_task": SMALL,
    "later_tasks": Schedule(
        epochs=20, batch_size=32, optimizer="adam", lr=1e-3, weight_decay=2e-4, curve="constant"
    ),
    "balancing": Schedule(epochs=20, batch_size=32, lr=0.01, weight_decay=5e-4, curve="constant"),
    "mixed_batch": 32,
}


class EFCRecipe(Recipe):
    """Elastic feature consolidation."""

    title = "EFC (elastic feature consolidation)"
    family = "prototype"
    summary = (
        "Restrains features only in directions that change class probabilities, and rehearses a Gaussian per "
        "old class whose mean follows the drift."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="magistri2024elastic",
        title="Elastic Feature Consolidation for Cold Start Exemplar-Free Incremental Learning",
        authors="Magistri, Simone and Trinci, Tomaso and Soutif-Cormerais, Albin and van de Weijer, Joost "
        "and Bagdanov, Andrew D.",
        venue="International Conference on Learning Representations (ICLR)",
        year=2024,
    )
    differs = (
        "The augmentation is the track's; the official code crops CIFAR harder, by random resized crops. "
        "Feature matrix and Gaussians come from all unaugmented images; the official code augments them and "
        "drops the last batch. Fewer classes than the mixed batch are drawn with replacement. New head rows "
        "start as in all linear heads here."
    )
    presets = {
        "efc++": {"rehearsal": "after"},
        "imagenet": {
            "first_task": Schedule(epochs=160, batch_size=64, milestones=(80, 120, 150), weight_decay=5e-4),
            "backbone_factor": 0.1,
        },
        "small": _SMALL_EFC,
        "small-efc++": {**_SMALL_EFC, "rehearsal": "after"},
    }

    name: Literal["efc"] = "efc"
    first_task: Schedule = Field(
        default=Schedule(
            epochs=100, batch_size=64, optimizer="adam", lr=1e-3, milestones=(45, 90), weight_decay=2e-4
        ),
        description="Schedule of the first task (official code, CIFAR-100 and Tiny-ImageNet).",
    )
    later_tasks: Schedule = Field(
        default=Schedule(
            epochs=100, batch_size=64, optimizer="adam", lr=1e-4, weight_decay=2e-4, curve="constant"
        ),
        description="Schedule of every later task (official code).",
    )
    balancing: Schedule = Field(
        default=Schedule(epochs=50, batch_size=256, lr=1e-3, weight_decay=5e-4, curve="constant"),
        description="Schedule of the head after the backbone in EFC++ (its code).",
    )
    weight: float = Field(
        default=10.0,
        ge=0,
        le=1e6,
        description="λ, weight of the feature matrix (official code).",
    )
    damping: float = Field(
        default=0.1,
        ge=0,
        le=1e6,
        description="η, weight of the plain distance (official code).",
    )
    sigma: float = Field(default=0.2, gt=0, le=1e6, description="σ of the drift's weights (official code).")
    mixed_batch: int = Field(
        default=64,
        ge=1,
        le=65_536,
        description="Draws of old classes and images of the last batch together, per step (official code).",
    )
    rotation: bool = Field(
        default=True,
        description="Whether the first task classifies turned images too (official code).",
    )
    rehearsal: Literal["during", "after"] = Field(
        default="during",
        description="When old classes are drawn: in the training (EFC), or for the head after it (EFC++).",
    )
    backbone_factor: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="The backbone's share of the rate in later tasks (official code; 0.1 for ImageNet-100).",
    )


class AdaGaussRecipe(Recipe):
    """Adapted Gaussians in a narrow feature space."""

    title = "AdaGauss"
    family = "prototype"
    summary = (
        "Keeps a Gaussian per class in a narrow feature space that a loss saves from collapse; a learned "
        "adapter carries means and covariances into the new space."
    )
    classifiers = ("gaussian",)
    min_images = 2
    citation: ClassVar[Citation | None] = Citation(
        key="rypesc2024task",
        title="Task-Recency Bias Strikes Back: Adapting Covariances in Exemplar-Free Class "
        "Incremental Learning",
        authors="Rype{\\'s}{\\'c}, Grzegorz and Cygert, Sebastian and Trzci{\\'n}ski, Tomasz "
        "and Twardowski, Bart{\\l}omiej",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2024,
        arxiv="2409.18265",
    )
    differs = (
        "The augmentation is the track's; the official code uses TrivialAugment. The adapter learns from "
        "pairs of unaugmented images. A batch of no more than S features adds no loss against collapse; the "
        "official code drops smaller last batches. The test set is never used in training."
    )
    presets = {
        "linear-adapter": {"adapter": "linear"},
        "small": {
            "first_task": _CLIPPED,
            "later_tasks": _CLIPPED.model_copy(update={"lr": 0.01}),
            "adaptation": Schedule(
                epochs=40, batch_size=32, lr=0.01, milestones=(20, 30), weight_decay=5e-4, clip_norm=1.0
            ),
            "width": 16,
            "draws": 1000,
        },
    }

    name: Literal["adagauss"] = "adagauss"
    first_task: Schedule = Field(
        default=Schedule(
            epochs=200, batch_size=64, milestones=(60, 120, 180), weight_decay=5e-4, clip_norm=1.0
        ),
        description="Schedule of the first task; each image counts in four turns (official code).",
    )
    later_tasks: Schedule = Field(
        default=Schedule(
            epochs=200, batch_size=256, lr=0.01, milestones=(60, 120, 180), weight_decay=5e-4, clip_norm=1.0
        ),
        description="Schedule of every later task (official code).",
    )
    adaptation: Schedule = Field(
        default=Schedule(
            epochs=100, batch_size=256, lr=0.01, milestones=(30, 60, 90), weight_decay=5e-4, clip_norm=1.0
        ),
        description="Schedule of the adapter (official code).",
    )
    width: int = Field(
        default=64, ge=1, le=4096, description="S, width of the feature space (official code)."
    )
    distillation_weight: float = Field(
        default=10.0, ge=0, le=1e6, description="λ, weight of the distillation through q (official code)."
    )
    collapse_weight: float = Field(
        default=1.0, ge=0, le=1e6, description="α, weight of the loss against collapse (official code)."
    )
    beta: float = Field(
        default=1.0, gt=0, le=1e6, description="β, spread above which nothing is gained (official code)."
    )
    detached_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of the first epochs in which the backbone gets no gradient (official code).",
    )
    hidden_factor: int = Field(
        default=32, ge=1, le=1024, description="Hidden units of q and of the adapter, per S (official code)."
    )
    adapter: Literal["mlp", "linear"] = Field(
        default="mlp", description="The map of features: a perceptron (official code), or an affine one."
    )
    draws: int = Field(
        default=10_000,
        ge=2,
        le=1_000_000,
        description="Draws per old class that give its new Gaussian (official code).",
    )
    shrinkage: float = Field(
        default=3.0,
        ge=0,
        le=1e6,
        description="Share of the mean variance that is added for classification (official code).",
    )
    rotation: bool = Field(
        default=True, description="Whether the first task classifies turned images too (official code)."
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 — any track will do
        """Require batches that determine a covariance."""
        smallest = min(
            (4 if self.rotation else 1) * self.first_task.batch_size,
            self.later_tasks.batch_size,
            self.adaptation.batch_size,
        )
        if smallest < 2 * self.width:
            raise self.refuse(
                f"a batch has {smallest} features and needs twice the width of {self.width}, or more",
                "method",
                "width",
            )
