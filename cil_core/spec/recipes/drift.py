"""Recipes without exemplars whose backbone keeps learning: prototypes follow its drift."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

_SMALL: dict[str, Any] = {
    "first_task": SMALL,
    "later_tasks": SMALL,
    "mapping": Schedule(
        epochs=50, batch_size=32, optimizer="adam", lr=1e-3, weight_decay=0.0, curve="constant"
    ),
    "augmentation": "dataset",
    "solver": "exact",
    "ridge": 1.0,
    "ridge_map": 1.0,
}
"""Maps from a few hundred images of two classes need a ridge: without one they distort old classes."""


class DriftRecipe(Recipe):
    """LwF with prototypes that are moved after each task."""

    title = "LwF with drift compensation"
    family = "prototype"
    summary = (
        "Distils old logits and keeps a prototype per class; after each task it estimates from new images "
        "where old prototypes have moved (SDC, ADC, LDC or DPCR)."
    )
    classifiers = ("prototype", "linear")
    citation: ClassVar[Citation | None] = Citation(
        key="gomezvilla2024exemplar",
        title="Exemplar-Free Continual Representation Learning via Learnable Drift Compensation",
        authors="Gomez-Villa, Alex and Goswami, Dipam and Wang, Kai and Bagdanov, Andrew D. "
        "and Twardowski, Bartlomiej and van de Weijer, Joost",
        venue="European Conference on Computer Vision (ECCV)",
        year=2024,
        arxiv="2407.08536",
    )
    differs = (
        "Old and new features always belong to the same unaugmented image; the public codes of SDC pair "
        "different crops or different images. SDC works on unit features with weights that sum to 1. ADC "
        "compares with the prototypes of before the task, and clips to the range of pixels. DPCR uses real "
        "counts and float64."
    )
    presets = {
        "none": {"compensation": "none"},
        "sdc": {"compensation": "sdc"},
        "sdc-raw": {"compensation": "sdc", "sdc_space": "raw"},
        "adc": {"compensation": "adc"},
        "dpcr": {"compensation": "dpcr"},
        "small": _SMALL,
        **{
            f"small-{compensation}": {**_SMALL, "compensation": compensation}
            for compensation in ("none", "sdc", "adc", "dpcr")
        },
    }

    name: Literal["drift"] = "drift"
    first_task: Schedule = Field(
        default=Schedule(epochs=200, milestones=(60, 120, 160), weight_decay=5e-4),
        description="Schedule of the first task (codes of ADC, LDC and DPCR).",
    )
    later_tasks: Schedule = Field(
        default=Schedule(epochs=100, lr=0.05, milestones=(45, 90), weight_decay=2e-4),
        description="Schedule of every later task (codes of ADC, LDC and DPCR).",
    )
    mapping: Schedule = Field(
        default=Schedule(epochs=20, optimizer="adam", lr=1e-3, weight_decay=0.0, curve="constant"),
        description="Schedule of LDC's linear map, if it is trained (code of LDC).",
    )
    compensation: Literal["none", "sdc", "adc", "ldc", "dpcr"] = Field(
        default="ldc",
        description="How old prototypes move: not at all, by the drift of near images (sdc), by that of "
        "attacked images (adc), by a linear map (ldc), or by a map of means and second moments (dpcr).",
    )
    distillation_weight: float = Field(
        default=10.0,
        ge=0,
        le=1e6,
        description="λ, weight of the distillation (CIFAR-100 and Tiny-ImageNet; 5 for ImageNet-100).",
    )
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="T of the distillation (codes of ADC, LDC and DPCR)."
    )
    augmentation: Literal["dataset", "autoaugment"] = Field(
        default="autoaugment",
        description="The dataset's own, or that followed by AutoAugment (codes of ADC, LDC and DPCR).",
    )
    sigma: float = Field(
        default=0.3, gt=0, le=1e6, description="σ of SDC's weights (codes of ADC and LDC; 0.2 in SDC-IL)."
    )
    sdc_space: Literal["unit", "raw"] = Field(
        default="unit",
        description="Features that SDC compares: of unit norm (paper's code) or as they are (code of LDC).",
    )
    attack_step: float = Field(
        default=25.0,
        ge=0,
        le=1e6,
        description="α, length of one attack step of ADC over all images together (code of ADC).",
    )
    attack_steps: int = Field(default=3, ge=0, le=1000, description="Attack steps of ADC (code of ADC).")
    nearest: int = Field(
        default=100, ge=1, le=65_536, description="Images that ADC attacks per old class (code of ADC)."
    )
    solver: Literal["trained", "exact"] = Field(
        default="trained",
        description="LDC's map by gradient descent (code of LDC), or by least squares.",
    )
    ridge: float = Field(
        default=200.0,
        gt=0,
        le=1e9,
        description="γ of DPCR's classifier (its code for CIFAR-100; 2000 for Tiny-ImageNet, ImageNet-100).",
    )
    ridge_map: float = Field(
        default=1e-9, gt=0, le=1e6, description="ε of least-squares maps (code of DPCR)."
    )
    projection_rank: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="DPCR maps only directions whose eigenvalue exceeds this share of a class's largest. "
        "0 maps all, as its code does in effect; 1e-6 is the paper's idea.",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 — any backbone will do
        """Require grey or colour images for AutoAugment."""
        if self.augmentation == "autoaugment" and dataset.channels not in (1, 3):
            raise self.refuse(
                f"augmentation 'autoaugment' needs 1 or 3 channels, and {dataset.name!r} has "
                f"{dataset.channels}; augmentation='dataset' runs on it",
                "method",
                "augmentation",
            )
