"""Recipes that weigh parameters by other importances than EWC's: of the outputs (MAS), of the path (SI)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

EWC_LATER = Schedule(epochs=180, milestones=(70, 120, 150), weight_decay=2e-4)
"""Later tasks of EWC in PyCIL; no source has a class-incremental schedule for MAS or SI."""


class MASRecipe(Recipe):
    """Memory Aware Synapses: importance without labels."""

    title = "MAS"
    family = "regularisation"
    summary = (
        "Holds parameters near their old values in proportion to how much they change the squared norm of "
        "the outputs; keeps no exemplars."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="aljundi2018mas",
        title="Memory Aware Synapses: Learning what (not) to forget",
        authors="Aljundi, Rahaf and Babiloni, Francesca and Elhoseiny, Mohamed and Rohrbach, Marcus and "
        "Tuytelaars, Tinne",
        venue="European Conference on Computer Vision (ECCV)",
        year=2018,
        arxiv="1711.09601",
    )
    differs = (
        "Importances are absolute gradients of single images, as defined; public codes take those of "
        "batches, where opposite signs cancel (preset `batch`). They are estimated in evaluation mode on "
        "images without augmentation. The loss sees the new classes alone, and schedules are those of EWC "
        "in PyCIL: the paper learns one head per task. Ω is bounded, without which the common learning rate "
        "overshoots (preset `unbounded`). Weight decay is L2; the official code decays by sign. The squared "
        "norm of the outputs grows with the classes, so a strength is right for one kind of data only."
    )
    presets = {
        "batch": {"gradients": "batch"},
        "unbounded": {"importance_max": None},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["mas"] = "mas"
    later_tasks: Schedule = Field(
        default=EWC_LATER, description="Schedule of every later task (that of EWC in PyCIL)."
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1e8,
        description="λ of λ Σ Ω_i (θ_i − θ*_i)², without EWC's factor 1/2 (official code, FACIL).",
    )
    gradients: Literal["per_sample", "batch"] = Field(
        default="per_sample",
        description="Ω is the mean absolute gradient of each image (paper), or of each batch's sum divided "
        "by its images (official code, FACIL, Avalanche).",
    )
    norm: Literal["squared", "plain"] = Field(
        default="squared",
        description="Whose gradient is taken: ‖z‖² (paper, official code) or ‖z‖ (FACIL).",
    )
    merge: Literal["sum", "average"] = Field(
        default="sum",
        description="Ω of all tasks are added (official code), or old and new are averaged with equal "
        "weights (FACIL, Avalanche).",
    )
    importance_max: float | None = Field(
        default=1.0,
        gt=0,
        le=1e8,
        description="Upper bound of every Ω after the merge (ours; no source has one, null). Steps are "
        "stable while strength × bound × learning rate stays below 1.",
    )


class SIRecipe(Recipe):
    """Synaptic Intelligence: importance from the path of training."""

    title = "SI"
    family = "regularisation"
    summary = (
        "Holds parameters near their old values in proportion to how much their training path lowered the "
        "loss; keeps no exemplars."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zenke2017si",
        title="Continual Learning Through Synaptic Intelligence",
        authors="Zenke, Friedemann and Poole, Ben and Ganguli, Surya",
        venue="International Conference on Machine Learning (ICML)",
        year=2017,
        arxiv="1703.04200",
    )
    differs = (
        "Negative path integrals count as 0; FACIL and mammoth let them lower the importance. The penalty's "
        "gradient is subtracted in closed form, where FACIL runs a second backward pass. Gradients are not "
        "clipped, as mammoth does. Weight decay and momentum are part of the path, as in both. The loss "
        "sees the new classes alone, and schedules are those of EWC in PyCIL: the paper learns one head per "
        "task."
    )
    presets = {"small": {"strength": 10.0, "first_task": SMALL, "later_tasks": SMALL}}

    name: Literal["si"] = "si"
    later_tasks: Schedule = Field(
        default=EWC_LATER, description="Schedule of every later task (that of EWC in PyCIL)."
    )
    strength: float = Field(
        default=0.1,
        ge=0,
        le=1e8,
        description="c of c Σ Ω_i (θ_i − θ*_i)² (FACIL; mammoth on permuted MNIST).",
    )
    damping: float = Field(
        default=0.1,
        gt=0,
        le=1e8,
        description="ξ, added to the squared displacement that divides a path integral (FACIL; mammoth on "
        "permuted MNIST; Avalanche 1e-7).",
    )
