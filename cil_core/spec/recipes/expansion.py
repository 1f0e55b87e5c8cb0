"""Recipes of the methods whose network grows with the tasks."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import SMALL, Citation, Recipe
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

SMALL_CLASSIFIER = Schedule(epochs=20, batch_size=32, lr=0.1, milestones=(10,), weight_decay=5e-4)


class DERRecipe(Recipe):
    """DER: a new extractor for every task, pruned by learnt channel masks."""

    title = "DER"
    family = "expansion"
    summary = "Freezes old feature extractors, adds one a task, prunes it with learnt channel masks, and refits the classifier on balanced data."
    classifiers = ("linear", "nme")
    uses_memory = True
    grows = "backbone"
    citation: ClassVar[Citation | None] = DER_CITATION
    differs = (
        "The official code leaves masks and pruning out, so their details are ours: masks inside blocks, the gradient in its direct form, batch-norm "
        "statistics re-estimated after pruning. Sparsity weight, slope and mask start are not published."
    )
    presets = {
        "no-pruning": {"prune": False},
        "official": {
            "prune": False,
            "inherit_head": False,
            "reset_heads_after_warmup": True,
            "head_bias": False,
        },
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
        description="Keep the old head as a block of the new one (paper); the official configurations start afresh.",
    )
    reset_heads_after_warmup: bool = Field(
        default=False,
        description="Both heads start afresh when the rate has warmed up (official code; not in the paper).",
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
        """Only channels of convolutions can be masked."""
        if self.prune and not backbone.stages:
            raise self.refuse(
                f"{backbone.name} has no channels that could be masked; prune=false runs on it",
                "method",
                "prune",
            )


class DERWARecipe(Recipe):
    """DER as it is commonly re-implemented: no masks, weight aligning instead of classifier learning."""

    title = "DER-WA"
    family = "expansion"
    summary = "DER without masks and pruning, its second stage replaced by weight aligning, as PyCIL and the survey run it."
    classifiers = ("linear", "nme")
    uses_memory = True
    grows = "backbone"
    citation: ClassVar[Citation | None] = DER_CITATION
    differs = (
        "Not the published method: no pruning, and weight aligning instead of the classifier stage (PyCIL)."
    )
    presets = {"small": {"first_task": SMALL, "later_tasks": SMALL}}

    name: Literal["der-wa"] = "der-wa"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, milestones=(80, 120, 150), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
    auxiliary_weight: float = Field(
        default=1.0, ge=0, le=100, description="Weight of the auxiliary loss (PyCIL)."
    )


class MEMORecipe(Recipe):
    """MEMO: a shared trunk, and one more last stage for every task."""

    title = "MEMO"
    family = "expansion"
    summary = "Shares the shallow layers, adds a copy of the last stage for every task, and aligns the classifier's weights."
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
    differs = "The memory budget is the track's; on a memory-aligned track the bytes the shared trunk saves become exemplars, as in the paper."
    presets = {
        "fixed-trunk": {"train_trunk": False},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["memo"] = "memo"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, milestones=(80, 120, 150), weight_decay=2e-4),
        description="Schedule of every later task (official code, PyCIL).",
    )
    auxiliary_weight: float = Field(
        default=1.0, ge=0, le=100, description="Weight of the auxiliary loss (official code)."
    )
    train_trunk: bool = Field(
        default=True,
        description="The trunk goes on learning after the first task: true for B0 protocols, false (preset fixed-trunk) for B50 (official code).",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002
        """Needs a backbone with a stage to share and a stage to copy."""
        if backbone.stages < 2:
            raise self.refuse(
                f"it shares all stages of a backbone but the last, and {backbone.name!r} has {backbone.stages}",
                "track",
                "backbone",
            )


FOSTER_FIRST = Schedule(epochs=200, curve="cosine", weight_decay=5e-4)
FOSTER_BOOSTING = Schedule(epochs=170, curve="cosine", weight_decay=5e-4)
FOSTER_COMPRESSION = Schedule(epochs=130, curve="cosine", weight_decay=0)
SMALL_COMPRESSION = Schedule(epochs=15, batch_size=32, lr=0.05, curve="cosine", weight_decay=0)


class FOSTERRecipe(Recipe):
    """FOSTER: a second extractor learns what the first one misses; then both are distilled into one."""

    title = "FOSTER"
    family = "expansion"
    summary = "Boosts the frozen network with a new extractor on the residual, then compresses both into one network by balanced distillation."
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
    differs = "Class weights come from the images there are, where the code assumes 500 a new class. The curve PyCIL logs is the boosted network's: here `boosted`."
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
        description="β₁ of the class weights while boosting (official code, B0-Inc5; PyCIL); or one for every later task in order, the last for all after it.",
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
        description="AutoAugment and Cutout on top of the dataset's augmentation: the official code does, PyCIL does not.",
    )

    @field_validator("boosting_beta")
    @classmethod
    def _betas_are_shares(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        betas = value if isinstance(value, tuple) else (value,)
        if not betas or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"boosting_beta is a number in [0, 1) or several, not {value}")
        return value

    def boosting_beta_of(self, task: int) -> float:
        """β₁ in `task`, counted from 0; boosting begins with task 1."""
        if isinstance(self.boosting_beta, tuple):
            return self.boosting_beta[min(task, len(self.boosting_beta)) - 1]
        return self.boosting_beta

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002
        """AutoAugment is defined for grey and colour images."""
        if self.autoaugment and dataset.channels not in {1, 3}:
            raise self.refuse(
                f"AutoAugment needs 1 or 3 channels, and {dataset.name!r} has {dataset.channels}",
                "method",
                "autoaugment",
            )
