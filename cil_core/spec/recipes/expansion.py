"""Recipes of the methods whose network grows with the tasks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, SURVEY_FIRST_TASK, Citation, Recipe
from cil_core.spec.schedule import Schedule

DER_CITATION = Citation(
    key="yan2021der",
    title="DER: Dynamically Expandable Representation for Class Incremental Learning",
    authors="Yan, Shipeng and Xie, Jiangwei and He, Xuming",
    venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
    year=2021,
    arxiv="2103.16788",
)

DER_SCHEDULE = Schedule(epochs=170, milestones=(110, 130), weight_decay=5e-4, warmup_epochs=10)
"""CIFAR-100, every task (official code: ten warm-up epochs, then decays 100 and 120 epochs after them)."""

DER_HALF_BASE = Schedule(epochs=200, milestones=(60, 120, 160), weight_decay=5e-4)
"""CIFAR-100, first task of 50 classes (official code, `pretrain`): no warm-up."""

OFFICIAL_DER: dict[str, Any] = {
    "prune": False,
    "inherit_head": False,
    "reset_heads_after_warmup": True,
    "head_bias": False,
}

SMALL_CLASSIFIER = Schedule(epochs=20, batch_size=32, lr=0.1, milestones=(10,), weight_decay=5e-4)


class DERRecipe(Recipe):
    """DER: a new extractor for every task, pruned by learnt channel masks."""

    title = "DER"
    family = "expansion"
    summary = (
        "Freezes old feature extractors, adds one per task, prunes it with learnt channel masks, and "
        "refits the "
        "classifier on balanced data."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    grows = "backbone"
    citation: ClassVar[Citation | None] = DER_CITATION
    differs = (
        "The official code leaves masks and pruning out, so their details are ours: masks inside blocks, "
        "the gradient "
        "in its direct form, batch-norm statistics re-estimated after pruning. Sparsity weight, slope and "
        "mask start are "
        "not published. Heads start and restart uniform in ±√(3/d); the official code starts them normal "
        "and restarts "
        "them in ±1/√d. Exemplars are chosen by greedy herding; the official code uses Welling's."
    )
    presets = {
        "no-pruning": {"prune": False},
        "official": OFFICIAL_DER,
        "official-b50": {**OFFICIAL_DER, "first_task": DER_HALF_BASE},
        "small": {
            "first_task": SMALL,
            "later_tasks": SMALL,
            "classifier": SMALL_CLASSIFIER,
            "sparsity_weight": 3.5,
            "statistics_batches": 20,
        },
        "small-no-pruning": {
            "first_task": SMALL,
            "later_tasks": SMALL,
            "classifier": SMALL_CLASSIFIER,
            "prune": False,
        },
    }

    name: Literal["der"] = "der"
    first_task: Schedule = Field(
        default=DER_SCHEDULE, description="Representation learning in the first task (official code)."
    )
    later_tasks: Schedule = Field(
        default=DER_SCHEDULE, description="Representation learning in every later task (official code)."
    )
    classifier: Schedule = Field(
        default=Schedule(epochs=30, milestones=(15,), weight_decay=5e-4),
        description="Classifier learning on balanced data, from the second task on (official code).",
    )
    temperature: float = Field(
        default=5.0, gt=0, le=100, description="Softmax temperature of classifier learning (official code)."
    )
    auxiliary_weight: float = Field(
        default=1.0, ge=0, le=100, description="Weight of the auxiliary loss (official code)."
    )
    inherit_head: bool = Field(
        default=True,
        description="Keep the old head as a block of the new one (paper); the official configurations draw "
        "a new head.",
    )
    reset_heads_after_warmup: bool = Field(
        default=False,
        description="In every task, heads start again at random once the rate has warmed up (official "
        "code; not in "
        "the paper).",
    )
    head_bias: bool = Field(
        default=True, description="Whether heads have a bias (PyCIL); the official code has none."
    )
    prune: bool = Field(
        default=True, description="Learn channel masks and prune by them (paper); the official code does not."
    )
    sparsity_weight: float = Field(
        default=0.75,
        ge=0,
        le=1000,
        description="Weight of the sparsity loss (HAT's default; DER's is not published).",
    )
    slope_max: float = Field(
        default=10.0,
        ge=1,
        le=1000,
        description="Largest slope of the masks' sigmoid (ours; DER's is not published).",
    )
    mask_spread: float = Field(
        default=2.0,
        gt=0,
        le=6,
        description="Mask parameters start uniform in (0, spread) (HAT, for compression).",
    )
    statistics_batches: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Batches for re-estimating batch-norm statistics after pruning (ours).",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 - the backbone alone decides
        """Require convolutions, whose channels can be masked."""
        if self.prune and not backbone.stages:
            raise self.refuse(
                f"{backbone.name} has no channels to mask; prune=false runs on it",
                "method",
                "prune",
            )


class DERWARecipe(Recipe):
    """DER as it is commonly re-implemented: no masks, weight aligning instead of classifier learning."""

    title = "DER-WA"
    family = "expansion"
    summary = (
        "DER without masks and pruning; weight aligning replaces its second stage, as in PyCIL and the "
        "survey."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    grows = "backbone"
    citation: ClassVar[Citation | None] = DER_CITATION
    differs = (
        "Not the published method: no pruning, and weight aligning instead of the classifier stage (PyCIL)."
    )
    presets = {
        "survey": {"first_task": SURVEY_FIRST_TASK},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["der-wa"] = "der-wa"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, milestones=(80, 120, 150), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
    auxiliary_weight: float = Field(
        default=1.0, ge=0, le=100, description="Weight of the auxiliary loss (PyCIL)."
    )


MEMO_SURVEY = Schedule(epochs=170, curve="cosine", weight_decay=2e-4)
"""CIFAR-100, every later task of MEMO in the survey's scripts."""


class MEMORecipe(Recipe):
    """MEMO: a shared trunk, and one more last stage for every task."""

    title = "MEMO"
    family = "expansion"
    summary = (
        "Shares the shallow layers, adds a copy of the last stage for every task, and aligns the "
        "classifier's weights."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    grows = "last stage"
    citation: ClassVar[Citation | None] = Citation(
        key="zhou2023memo",
        title="A Model or 603 Exemplars: Towards Memory-Efficient Class-Incremental Learning",
        authors="Zhou, Da-Wei and Wang, Qi-Wei and Ye, Han-Jia and Zhan, De-Chuan",
        venue="International Conference on Learning Representations (ICLR)",
        year=2023,
        arxiv="2205.13218",
    )
    differs = (
        "The memory budget is the track's. On a memory-aligned track, the bytes that the shared trunk "
        "saves become "
        "exemplars, as in the paper. Schedules are PyCIL's; presets `survey` (B0) and `survey-b50` have "
        "the survey's, "
        "cosine curves and a trunk that is fixed on B50 tracks."
    )
    presets = {
        "fixed-trunk": {"train_trunk": False},
        "survey": {"first_task": SURVEY_FIRST_TASK, "later_tasks": MEMO_SURVEY},
        "survey-b50": {"first_task": SURVEY_FIRST_TASK, "later_tasks": MEMO_SURVEY, "train_trunk": False},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["memo"] = "memo"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, milestones=(80, 120, 150), weight_decay=2e-4),
        description="Schedule of every later task (official code, PyCIL; survey: cosine).",
    )
    auxiliary_weight: float = Field(
        default=1.0, ge=0, le=100, description="Weight of the auxiliary loss (official code)."
    )
    train_trunk: bool = Field(
        default=True,
        description="Whether the trunk learns after the first task: true for B0 protocols, false for B50 "
        "(official code).",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002
        """Require a stage to share and a stage to copy."""
        if backbone.stages < 2:
            raise self.refuse(
                f"it shares all stages of a backbone but the last, and {backbone.name!r} has "
                f"{backbone.stages}",
                "track",
                "backbone",
            )
