"""Recipes with a cosine classifier: COIL, UCIR and PODNet."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.base import Before
from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

REBALANCING = Schedule(epochs=160, milestones=(80, 120), weight_decay=5e-4)
"""CIFAR-100 schedule of UCIR and COIL, every task (official codes)."""

POD = Schedule(epochs=160, curve="cosine", weight_decay=5e-4)
"""CIFAR-100 schedule of PODNet, every task (official code)."""

SMALL_COSINE = Schedule(epochs=15, batch_size=32, lr=0.05, curve="cosine", weight_decay=5e-4)
"""`SMALL` with PODNet's curve, and shorter, because its steps cost more."""


class COILRecipe(Recipe):
    """COIL: optimal transport carries classifier rows between old and new classes."""

    title = "COIL"
    family = "rectification"
    summary = (
        "Starts new classifier rows as mixtures of old ones and restrains old rows by mixtures of new ones; "
        "optimal transport between class means gives the mixtures."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    signed_features = True
    citation: ClassVar[Citation | None] = Citation(
        key="zhou2021coil",
        title="Co-Transport for Class-Incremental Learning",
        authors="Zhou, Da-Wei and Ye, Han-Jia and Zhan, De-Chuan",
        venue="ACM International Conference on Multimedia (MM)",
        year=2021,
        arxiv="2107.12654",
    )
    differs = (
        "Both transport plans have matching marginals; with the official code's, the retrospective plan is "
        "zero "
        "in late tasks. Means of old classes come from exemplars; the official code uses all old data and "
        "the next "
        "task's. By default, transported rows answer with the classifier's learned scale "
        "(`scaled_transport`); "
        "the official code and presets `pycil` and `survey` leave the scale out."
    )
    presets = {
        "pycil": {"scaled_transport": False},
        "survey": {"scaled_transport": False, "transport_every": 200},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["coil"] = "coil"
    first_task: Schedule = Field(
        default=REBALANCING, description="Schedule of the first task (official code, PyCIL)."
    )
    later_tasks: Schedule = Field(
        default=REBALANCING, description="Schedule of every later task (official code, PyCIL)."
    )
    temperature: float = Field(
        default=2.0,
        gt=0,
        le=100,
        description="Softmax temperature of distillation and transport terms (official code).",
    )
    entropy: float = Field(
        default=0.464,
        gt=0,
        le=1000,
        description="ε, weight of the entropy in the transport problem (official code).",
    )
    cost_norm: float = Field(
        default=3.0,
        ge=1,
        le=100,
        description="Order of the norm between class means (official code; the paper squares Euclidean "
        "distances).",
    )
    prospective_weight: float = Field(
        default=1e-3,
        ge=0,
        le=1000,
        description="Weight of the transported new rows' outputs in epoch 0 (official code).",
    )
    retrospective_weight: float = Field(
        default=1e-3,
        ge=0,
        le=1000,
        description="Weight of the transported old rows' outputs, times (epoch / epochs)² (official code).",
    )
    transport_every: int = Field(
        default=30,
        ge=1,
        le=1_000_000,
        description="Steps of an epoch between retrospective transports (official code; survey's code 200).",
    )
    scaled_transport: bool = Field(
        default=True,
        description="Whether the outputs of transported rows have the classifier's learned scale, as those "
        "of its "
        "own rows do; the official code leaves it out.",
    )


class UCIRRecipe(Recipe):
    """UCIR (LUCIR): a cosine classifier, feature distillation and a margin between old and new classes."""

    title = "UCIR"
    family = "rectification"
    summary = (
        "Imprints new rows of a cosine classifier and freezes old ones, distils feature directions, and "
        "keeps "
        "a margin around old exemplars."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    signed_features = True
    citation: ClassVar[Citation | None] = Citation(
        key="hou2019ucir",
        title="Learning a Unified Classifier Incrementally via Rebalancing",
        authors="Hou, Saihui and Pan, Xinyu and Loy, Chen Change and Wang, Zilei and Lin, Dahua",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2019,
    )
    differs = (
        "There is no class-balanced fine-tuning, as in the official CIFAR script; the ImageNet script has "
        "one. "
        "Memory quotas are rounded down; the official code rounds up."
    )
    presets = {"small": {"first_task": SMALL, "later_tasks": SMALL, "nme_flip": False}}

    name: Literal["ucir"] = "ucir"
    first_task: Schedule = Field(
        default=REBALANCING, description="Schedule of the first task (official code)."
    )
    later_tasks: Schedule = Field(
        default=REBALANCING, description="Schedule of every later task (official code)."
    )
    distillation_weight: float = Field(
        default=5.0,
        ge=0,
        le=1000,
        description="Weight of the feature distillation, times √(o / k) (official code).",
    )
    margin: float = Field(
        default=0.5,
        ge=0,
        le=2,
        description="m between an exemplar's own cosine and those of new classes (official code).",
    )
    ranking_weight: float = Field(
        default=1.0, ge=0, le=1000, description="Weight of the margin term (official code)."
    )
    hardest: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="K, new classes from which each old exemplar keeps the margin (official code).",
    )
    selection: Literal["herding_greedy", "herding_welling"] = Field(
        default="herding_welling", description="Which herding (official code: welling)."
    )
    nme_flip: bool = Field(
        default=True,
        description="Average class means over each exemplar and its mirror image (official code).",
    )


class PODNetRecipe(Recipe):
    """PODNet: distil pooled statistics of every stage; several proxies per class."""

    title = "PODNet"
    family = "rectification"
    summary = (
        "Distils pooled statistics of all stages, classifies with several cosine proxies per class, and "
        "fine-tunes "
        "on a balanced set."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    signed_features = True
    citation: ClassVar[Citation | None] = Citation(
        key="douillard2020podnet",
        title="PODNet: Pooled Outputs Distillation for Small-Tasks Incremental Learning",
        authors="Douillard, Arthur and Cord, Matthieu and Ollion, Charles and Robert, Thomas and Valle, "
        "Eduardo",
        venue="European Conference on Computer Vision (ECCV)",
        year=2020,
        arxiv="2004.13513",
    )
    differs = (
        "The backbone's own stages are distilled, the last one without its ReLU; the official network has "
        "a fourth "
        "block. The margin of the NCA loss has no effect, as in both public codes. In preset `paper` it "
        "acts, and "
        "the scale counts as a constant in the margin's term. Exemplars are chosen by greedy herding; "
        "the official code uses Welling's."
    )
    presets = {
        "paper": {"nca": "as_stated"},
        "pycil": {
            "spatial_weight": 5.0,
            "clip_gradient": None,
            "finetune": "all",
            "balanced": Schedule(epochs=20, lr=0.005, curve="cosine", weight_decay=5e-4),
            "similarity": "cosine",
            "new_proxies": "random",
            "balanced_quota": "known",
        },
        "small": {
            "first_task": SMALL_COSINE,
            "later_tasks": SMALL_COSINE,
            "balanced": Schedule(epochs=10, batch_size=32, lr=0.05, curve="constant", weight_decay=5e-4),
        },
    }

    name: Literal["podnet"] = "podnet"
    first_task: Schedule = Field(
        default=POD, description="Schedule of the first task (official code, PyCIL)."
    )
    later_tasks: Schedule = Field(
        default=POD, description="Schedule of every later task (official code, PyCIL)."
    )
    balanced: Schedule = Field(
        default=Schedule(epochs=20, lr=0.05, curve="constant", weight_decay=5e-4),
        description="Schedule of the fine-tuning on a class-balanced set (official code; PyCIL 0.005, "
        "cosine).",
    )
    finetune: Literal["proxies", "all", "classifier"] = Field(
        default="proxies",
        description="What the fine-tuning changes. proxies: all proxies, network in training mode "
        "(official code); "
        "all: everything but old proxies (PyCIL); classifier: new proxies and the scale, extractor in "
        "evaluation mode.",
    )
    nca: Literal["as_coded", "as_stated"] = Field(
        default="as_coded",
        description="NCA as both public codes compute it, where the margin has no effect, or with the "
        "margin on the "
        "right class (paper).",
    )
    margin: float = Field(default=0.6, ge=0, le=2, description="δ of the NCA loss (paper).")
    proxies: int = Field(default=10, ge=1, le=1000, description="P, proxies per class (paper).")
    spatial_weight: float = Field(
        default=3.0,
        ge=0,
        le=1000,
        description="Weight of POD-spatial, times √(n / k) (official code 3; PyCIL 5).",
    )
    flat_weight: float = Field(
        default=1.0, ge=0, le=1000, description="Weight of POD-flat, times √(n / k) (official code, PyCIL)."
    )
    clip_gradient: float | None = Field(
        default=5.0,
        gt=0,
        le=1e6,
        description="Largest absolute value of a gradient's entry; null for none (official code).",
    )
    similarity: Literal["distance", "cosine"] = Field(
        default="distance",
        exclude_if=Before("cosine"),
        description="Of a feature to a proxy: minus the squared distance of their unit vectors, 2 · cos − 2 "
        "(official code), or cos (PyCIL).",
    )
    new_proxies: Literal["imprinted", "random"] = Field(
        default="imprinted",
        exclude_if=Before("imprinted"),
        description="How proxies of new classes start: at k-means centres of their features (official code), "
        "or at random (PyCIL).",
    )
    balanced_quota: Literal["seen", "known"] = Field(
        default="seen",
        exclude_if=Before("seen"),
        description="The budget per class of the balanced set is shared by all seen classes, or by the "
        "known ones "
        "alone (PyCIL).",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 — the same on every dataset
        """Require stages to distil."""
        if not backbone.stages:
            raise self.refuse(
                f"it distils the stages of a backbone; {backbone.name} has none", "track", "backbone"
            )
