"""Recipes of the methods that keep statistics of classes instead of exemplars."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.base import Before
from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

GENTLE = SMALL.model_copy(update={"lr": 0.005})
"""For PASS on small datasets: its temperature of 0.1 and weights of 10 make gradients ten times larger."""


class SimpleCILRecipe(Recipe):
    """Class means of a frozen extractor as a cosine classifier."""

    title = "SimpleCIL"
    family = "prototype"
    summary = "Trains on the first task only; later classes are added as their mean features."
    signed_features = True
    needs = "frozen features"
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
        "Without pretrained weights, the extractor trains on the first task (PyCIL); the paper's is "
        "pretrained and never "
        "trains."
    )
    presets = {"small": {"first_task": SMALL}}

    name: Literal["simplecil"] = "simplecil"
    first_task: Schedule = Field(
        default=Schedule(epochs=200, lr=0.01, curve="cosine", weight_decay=5e-4),
        description="Schedule of the first task, the only one (PyCIL).",
    )


class FeTrILRecipe(Recipe):
    """Feature translation."""

    title = "FeTrIL"
    family = "prototype"
    needs = "frozen features"
    summary = (
        "Freezes the extractor after the first task; features of old classes are those of similar new "
        "classes, "
        "moved to the old mean."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="petit2023fetril",
        title="FeTrIL: Feature Translation for Exemplar-Free Class-Incremental Learning",
        authors="Petit, Gr{\\'e}goire and Popescu, Adrian and Schindler, Hugo and Picard, David "
        "and Delezoide, Bertrand",
        venue="IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)",
        year=2023,
        arxiv="2211.13131",
    )
    differs = (
        "The classifier is PyCIL's linear one, not the official code's support vector machines. "
        "Preset `paper` pairs classes as the official code does, by Euclidean distance; its schedules are "
        "PyCIL's. With pretrained weights, only the head trains, in the first task too."
    )
    presets = {
        "paper": {"similarity": "euclidean"},
        "pretrained": {"normalise": True, "similarity": "euclidean"},
        "small": {"first_task": SMALL, "head": SMALL, "augmentation": "dataset"},
    }

    name: Literal["fetril"] = "fetril"
    first_task: Schedule = Field(
        default=Schedule(epochs=200, curve="cosine", weight_decay=5e-4),
        description="Schedule of the extractor (PyCIL).",
    )
    head: Schedule = Field(
        default=Schedule(epochs=50, lr=0.05, curve="cosine", weight_decay=5e-4),
        description="Schedule of the head in every later task (PyCIL).",
    )
    augmentation: Literal["dataset", "strong"] = Field(
        default="strong",
        description="Of the first task: the dataset's own, or that followed by AutoAugment and Cutout of "
        "half the "
        "image's side (strong, as PyCIL).",
    )
    similarity: Literal["cosine", "euclidean"] = Field(
        default="cosine",
        description="Between class means: cosine (PyCIL, paper) or Euclidean distance (official code).",
    )
    normalise: bool = Field(
        default=False,
        exclude_if=Before(False),
        description="Whether the head sees features of unit norm, translated ones included (official code, "
        "before its support vector machines); PyCIL's head sees them as they are.",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 — any backbone will do
        """Require grey or colour images for AutoAugment."""
        if self.augmentation == "strong" and dataset.channels not in (1, 3):
            raise self.refuse(
                f"augmentation 'strong' needs 1 or 3 channels, and {dataset.name!r} has {dataset.channels}; "
                "augmentation='dataset' runs on it",
                "method",
                "augmentation",
            )


class ACILRecipe(Recipe):
    """Analytic class-incremental learning."""

    title = "ACIL"
    family = "prototype"
    needs = "frozen features"
    summary = (
        "Freezes the backbone after the first task; the classifier is a recursive ridge regression, equal "
        "to one on "
        "all data."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhuang2022acil",
        title="ACIL: Analytic Class-Incremental Learning with Absolute Memorization and Privacy Protection",
        authors="Zhuang, Huiping and Weng, Zhenyu and Wei, Hongxin and Xie, Renchunzi and Toh, Kar-Ann "
        "and Lin, Zhiping",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2022,
        arxiv="2205.14922",
    )
    differs = (
        "The backbone trains as in PyCIL; preset `paper` has the schedule of the official code, not its "
        "optional "
        "augmentation. With pretrained weights nothing trains; task 1 is absorbed like the others."
    )
    presets = {
        "compact": {"expansion": 2048},
        "paper": {
            "first_task": Schedule(epochs=300, batch_size=256, lr=0.5, curve="cosine", weight_decay=5e-4)
        },
        "pretrained": {"expansion": 8192, "ridge": 0.1},
        "small": {"first_task": SMALL, "expansion": 1024},
    }

    name: Literal["acil"] = "acil"
    first_task: Schedule = Field(
        default=Schedule(epochs=160, milestones=(120, 140), weight_decay=5e-4),
        description="Schedule of the first task, the only one (PyCIL).",
    )
    expansion: int = Field(
        default=8192,
        ge=1,
        le=32_768,
        description="D, random features; the method keeps D² numbers of 8 bytes (paper, PyCIL).",
    )
    ridge: float = Field(default=0.1, gt=0, le=1e6, description="γ, the weight of the ridge (paper, PyCIL).")
    analytic_batch: int = Field(
        default=4096,
        ge=1,
        le=65_536,
        description="Images of one update; it changes speed, not the result (PyCIL).",
    )


class PASSRecipe(Recipe):
    """Prototype augmentation and self-supervision."""

    title = "PASS"
    family = "prototype"
    summary = (
        "Rehearses old classes as noisy prototypes, with rotations as additional labels and feature "
        "distillation; keeps "
        "no exemplars."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhu2021pass",
        title="Prototype Augmentation and Self-Supervision for Incremental Learning",
        authors="Zhu, Fei and Zhang, Xu-Yao and Wang, Chuang and Yin, Fei and Liu, Cheng-Lin",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2021,
    )
    differs = (
        "Prototypes are taken without augmentation. The spread divides by N; the official code divides by "
        "N − 1. "
        "A step rehearses as many prototypes as it has images; PyCIL rehearses that many times the ratio "
        "of old to new "
        "classes, rounded down. Preset `pycil` averages the radius over all seen classes; its backbone is "
        "the track's, "
        "PyCIL's has attention blocks (CBAM)."
    )
    presets = {"pycil": {"radius": "seen"}, "small": {"first_task": GENTLE, "later_tasks": GENTLE}}

    name: Literal["pass"] = "pass"
    first_task: Schedule = Field(
        default=Schedule(
            epochs=101, batch_size=64, optimizer="adam", lr=1e-3, milestones=(45, 90), weight_decay=2e-4
        ),
        description="Schedule of the first task (official code, PyCIL).",
    )
    later_tasks: Schedule = Field(
        default=Schedule(
            epochs=101, batch_size=64, optimizer="adam", lr=1e-3, milestones=(45, 90), weight_decay=2e-4
        ),
        description="Schedule of every later task (official code, PyCIL).",
    )
    temperature: float = Field(
        default=0.1, gt=0, le=100, description="τ of both cross-entropies (official code, PyCIL)."
    )
    distillation_weight: float = Field(
        default=10.0, ge=0, le=1e6, description="Weight of ‖Φ − Φ_old‖ over the batch (official code, PyCIL)."
    )
    prototype_weight: float = Field(
        default=10.0,
        ge=0,
        le=1e6,
        description="Weight of the cross-entropy on prototypes (official code, PyCIL).",
    )
    radius: Literal["first", "seen"] = Field(
        default="first",
        description="Classes whose spread sets the noise: the first task's (official code) or all seen "
        "(PyCIL).",
    )
