"""Recipe of the method that classifies by Mahalanobis distances on a frozen backbone."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule


class FeCAMRecipe(Recipe):
    """Feature covariance-aware metric."""

    title = "FeCAM"
    family = "prototype"
    needs = "frozen features"
    summary = (
        "Freezes the extractor after the first task; classifies by the Mahalanobis distance to class means, "
        "with one correlation matrix per class."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="goswami2023fecam",
        title="FeCAM: Exploiting the Heterogeneity of Class Distributions in Exemplar-Free "
        "Continual Learning",
        authors="Goswami, Dipam and Liu, Yuyang and Twardowski, Bart{\\l}omiej and van de Weijer, Joost",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2023,
        arxiv="2309.14062",
    )
    differs = (
        "Classes of the first task are classified by distances too; the official code uses the cosine head "
        "there. Matrices are factored, not inverted; a class that off-diagonal shrinkage leaves indefinite "
        "is shrunk without it. A class with one image gets the identity. AutoAugment is not limited to CIFAR."
    )
    presets = {
        "pretrained": {"form": "unit", "exponent": 1.0, "covariance_shrinkage": 0.0, "shrinks": 1},
        "small": {"first_task": SMALL, "augmentation": "dataset"},
    }

    name: Literal["fecam"] = "fecam"
    first_task: Schedule = Field(
        default=Schedule(epochs=200, curve="cosine", weight_decay=5e-4),
        description="Schedule of the first task, the only one (official code).",
    )
    augmentation: Literal["dataset", "autoaugment"] = Field(
        default="autoaugment",
        description="Of the first task: the dataset's own, or that followed by AutoAugment "
        "(official code on CIFAR).",
    )
    form: Literal["tukey", "unit"] = Field(
        default="tukey",
        description="Covariances and means are those of transformed and raw features (tukey: official ResNet "
        "code) or of unit-norm features (unit: official ViT scripts).",
    )
    exponent: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="β of Tukey's transformation f^β; 1 is no transformation (official ResNet code).",
    )
    variance_shrinkage: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        description="α1, of the mean variance, added to every variance (official code).",
    )
    covariance_shrinkage: float = Field(
        default=1.0,
        ge=0,
        le=1e6,
        description="α2, of the mean covariance, added to every covariance (official ResNet code).",
    )
    shrinks: int = Field(
        default=2, ge=1, le=2, description="How often a matrix is shrunk (official ResNet code)."
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:
        """Require features without a sign for roots, and grey or colour images for AutoAugment."""
        if self.exponent != 1 and backbone.signed:
            raise self.refuse(
                f"exponent {self.exponent} needs features that are never negative, and those of "
                f"{backbone.name} have both signs; preset='pretrained' runs on it",
                "method",
                "exponent",
            )
        if self.augmentation == "autoaugment" and dataset.channels not in (1, 3):
            raise self.refuse(
                f"augmentation 'autoaugment' needs 1 or 3 channels, and {dataset.name!r} has "
                f"{dataset.channels}; augmentation='dataset' runs on it",
                "method",
                "augmentation",
            )
