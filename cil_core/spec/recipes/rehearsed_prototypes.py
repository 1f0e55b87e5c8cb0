"""Recipes without exemplars that rehearse prototypes and restrain the backbone: IL2A and SSRE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import Citation, Recipe
from cil_core.spec.schedule import Schedule


def _adam(epochs: int, **fields: object) -> Schedule:
    """A schedule of both codes: the rate falls tenfold every 45 epochs."""
    milestones = tuple(range(45, epochs, 45))
    return Schedule.model_validate(
        {"epochs": epochs, "optimizer": "adam", "lr": 1e-3, "milestones": milestones, **fields}
    )


_SMALL = _adam(20, batch_size=32, milestones=(12, 17), weight_decay=2e-4)
"""For digits: gradients are tenfold by the temperature and by the weights, so Adam scales them."""


class IL2ARecipe(Recipe):
    """Dual augmentation of classes."""

    title = "IL2A"
    family = "prototype"
    summary = (
        "Learns mixtures of two new classes as further classes, and rehearses old classes as prototypes "
        "spread by their covariances; keeps no exemplars."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhu2021class",
        title="Class-Incremental Learning via Dual Augmentation",
        authors="Zhu, Fei and Cheng, Zhen and Zhang, Xu-Yao and Liu, Cheng-Lin",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2021,
    )
    differs = (
        "Covariances keep their class; the official code confuses them from the third task on. Means and "
        "covariances come from all unaugmented images. A step draws as many prototypes as it has images. "
        "The backbone is the track's; both public codes add attention blocks (CBAM)."
    )
    presets = {"small": {"first_task": _SMALL, "later_tasks": _SMALL}}

    name: Literal["il2a"] = "il2a"
    first_task: Schedule = Field(
        default=_adam(101, batch_size=64, weight_decay=2e-4),
        description="Schedule of the first task (official code, PyCIL).",
    )
    later_tasks: Schedule = Field(
        default=_adam(101, batch_size=64, weight_decay=2e-4),
        description="Schedule of every later task (official code, PyCIL).",
    )
    temperature: float = Field(
        default=0.1, gt=0, le=100, description="τ of both cross-entropies (official code, PyCIL)."
    )
    distillation_weight: float = Field(
        default=10.0, ge=0, le=1e6, description="Weight of ‖Φ − Φ_old‖ over the batch (official code, PyCIL)."
    )
    prototype_weight: float = Field(
        default=10.0, ge=0, le=1e6, description="Weight of the term on prototypes (official code, PyCIL)."
    )
    ratio: float = Field(
        default=2.5, ge=0, le=1e6, description="r, strength of the spread (official code, PyCIL)."
    )
    rounds: int = Field(
        default=4, ge=0, le=100, description="Mixtures per image and step, at most (official code, PyCIL)."
    )
    mix_alpha: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="α of the shares' Beta(α, α); those outside 0.4 … 0.6 become 0.5 (official code).",
    )


class SSRERecipe(Recipe):
    """Self-sustaining representation expansion."""

    title = "SSRE"
    family = "prototype"
    summary = (
        "Trains 1 × 1 branches beside each 3 × 3 convolution and folds them in; images that look like an old "
        "prototype are distilled, the others classified."
    )
    classifiers = ("linear", "prototype")
    citation: ClassVar[Citation | None] = Citation(
        key="zhu2022self",
        title="Self-Sustaining Representation Expansion for Non-Exemplar Class-Incremental Learning",
        authors="Zhu, Kai and Zhai, Wei and Cao, Yang and Luo, Jiebo and Zha, Zheng-Jun",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2022,
        arxiv="2203.06359",
    )
    differs = (
        "The first task trains here as in PyCIL; the official code starts from a network whose training was "
        "not released. Batch norm stays behind the branches, in evaluation mode. The likeness gives no "
        "gradient, as in PyCIL. Prototypes come from all unaugmented images."
    )
    presets = {
        "paper": {"through_weight": True},
        "pycil": {"later_tasks": _adam(101, batch_size=128, weight_decay=5e-4)},
        "small": {"first_task": _SMALL, "later_tasks": _SMALL},
    }

    name: Literal["ssre"] = "ssre"
    first_task: Schedule = Field(
        default=_adam(101, batch_size=64, weight_decay=5e-4),
        description="Schedule of the first task (PyCIL).",
    )
    later_tasks: Schedule = Field(
        default=_adam(60, batch_size=128, lr=2e-4, weight_decay=5e-4),
        description="Schedule of every later task (official code).",
    )
    temperature: float = Field(
        default=0.1, gt=0, le=100, description="τ of all cross-entropies (official code, PyCIL)."
    )
    distillation_weight: float = Field(
        default=1.0, ge=0, le=1e6, description="λ_kd, weight of the distillation (official code)."
    )
    prototype_weight: float = Field(
        default=10.0, ge=0, le=1e6, description="Weight of the cross-entropy on prototypes (official code)."
    )
    through_weight: bool = Field(
        default=False,
        description="Whether gradients flow through an image's likeness to old classes (official code: yes).",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 — any dataset will do
        """Require convolutions."""
        if not backbone.stages:
            raise self.refuse(
                f"its branches need 3 × 3 convolutions; {backbone.name} has none", "track", "backbone"
            )
