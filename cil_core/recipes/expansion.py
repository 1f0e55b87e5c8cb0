"""Recipes of the methods whose network grows with the tasks."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.recipes.base import SMALL, Citation, Recipe
from cil_core.schedule import Schedule

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


class DER(Recipe):
    """DER: a new extractor for every task, pruned by learnt channel masks."""

    title = "DER"
    family = "expansion"
    summary = "Freezes old feature extractors, adds one a task, prunes it with learnt channel masks, and refits the classifier on balanced data."
    classifiers = ("linear", "nme")
    uses_memory = True
    citation: ClassVar[Citation | None] = DER_CITATION
    differs = (
        "The official code leaves masks and pruning out, so their details are ours: masks inside blocks, the gradient in its direct form, batch-norm "
        "statistics re-estimated after pruning. Sparsity weight, slope and mask start are not published."
    )
    presets = {
        "no-pruning": {"prune": False},
        "small": {"first_task": SMALL, "later_tasks": SMALL, "classifier": SMALL_CLASSIFIER, "sparsity_weight": 3.5, "statistics_batches": 20},
        "small-no-pruning": {"first_task": SMALL, "later_tasks": SMALL, "classifier": SMALL_CLASSIFIER, "prune": False},
    }

    name: Literal["der"] = "der"
    first_task: Schedule = Field(default=DER_SCHEDULE, description="Representation learning in the first task (official code).")
    later_tasks: Schedule = Field(default=DER_SCHEDULE, description="Representation learning in every later task (official code).")
    classifier: Schedule = Field(
        default=Schedule(epochs=30, milestones=(15,), weight_decay=5e-4),
        description="Classifier learning on balanced data, from the second task on (official code).",
    )
    temperature: float = Field(default=5.0, gt=0, le=100, description="Softmax temperature of classifier learning (official code).")
    auxiliary_weight: float = Field(default=1.0, ge=0, le=100, description="Weight of the auxiliary loss (official code).")
    inherit_head: bool = Field(default=True, description="Keep the old head as a block of the new one (paper); the official configurations start afresh.")
    prune: bool = Field(default=True, description="Learn channel masks and prune by them (paper); the official code does not.")
    sparsity_weight: float = Field(default=0.75, ge=0, le=1000, description="Weight of the sparsity loss (HAT's default; DER's is not published).")
    slope_max: float = Field(default=10.0, ge=1, le=1000, description="Largest slope of the masks' sigmoid (ours; DER's is not published).")
    mask_spread: float = Field(default=2.0, gt=0, le=6, description="Mask parameters start uniform in (0, spread) (HAT, for compression).")
    statistics_batches: int = Field(default=100, ge=1, le=10_000, description="Batches for re-estimating batch-norm statistics after pruning (ours).")


class DERWA(Recipe):
    """DER as it is commonly re-implemented: no masks, weight aligning instead of classifier learning."""

    title = "DER-WA"
    family = "expansion"
    summary = "DER without masks and pruning, its second stage replaced by weight aligning, as PyCIL and the survey run it."
    classifiers = ("linear", "nme")
    uses_memory = True
    citation: ClassVar[Citation | None] = DER_CITATION
    differs = "Not the published method: no pruning, and weight aligning instead of the classifier stage (PyCIL)."
    presets = {"small": {"first_task": SMALL, "later_tasks": SMALL}}

    name: Literal["der-wa"] = "der-wa"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, milestones=(80, 120, 150), weight_decay=2e-4), description="Schedule of every later task (PyCIL)."
    )
    auxiliary_weight: float = Field(default=1.0, ge=0, le=100, description="Weight of the auxiliary loss (PyCIL).")
