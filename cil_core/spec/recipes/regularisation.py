"""Recipes that restrain change: of outputs (LwF, DER++), parameters (EWC) or gradients (GEM, A-GEM)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.base import Before
from cil_core.spec.recipes.base import SMALL, SURVEY_FIRST_TASK, Citation, Recipe
from cil_core.spec.schedule import Schedule

ONE_PASS = Schedule(epochs=1, batch_size=10, lr=0.1, momentum=0.0, weight_decay=0.0)
"""A single pass of plain SGD over each task, as the papers of GEM and A-GEM train on CIFAR-100."""


class LwFRecipe(Recipe):
    """Learning without Forgetting: keep the old model's responses on new images."""

    title = "LwF"
    family = "regularisation"
    summary = "Distils the previous model's responses on the new task's images; keeps no exemplars."
    citation: ClassVar[Citation | None] = Citation(
        key="li2016lwf",
        title="Learning without Forgetting",
        authors="Li, Zhizhong and Hoiem, Derek",
        venue="European Conference on Computer Vision (ECCV)",
        year=2016,
        arxiv="1606.09282",
    )
    differs = (
        "The distillation weighs 3, as in PyCIL; preset `paper` has the paper's 1. There is no head-only "
        "warm-up. "
        "Schedules are PyCIL's in every preset."
    )
    presets = {
        "paper": {"distillation_weight": 1.0},
        "survey": {"first_task": SURVEY_FIRST_TASK},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["lwf"] = "lwf"
    first_task: Schedule = Field(
        default=Schedule(epochs=200, milestones=(60, 120, 160)),
        description="Schedule of the first task (PyCIL: last milestone 160).",
    )
    later_tasks: Schedule = Field(
        default=Schedule(epochs=250, milestones=(60, 120, 180, 220), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
    distillation_weight: float = Field(
        default=3.0, ge=0, le=1000, description="Weight of the distillation term (PyCIL 3; paper 1)."
    )
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="Softmax temperature of the distillation (paper, PyCIL)."
    )
    l2_sp: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="Weight of (1/2)||θ − θ_old||², the L2-SP term; 0 in the paper.",
    )


class EWCRecipe(Recipe):
    """Elastic Weight Consolidation: a quadratic penalty on parameters that mattered."""

    title = "EWC"
    family = "regularisation"
    summary = (
        "Holds parameters near their old values in proportion to their Fisher information; keeps no "
        "exemplars."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="kirkpatrick2017ewc",
        title="Overcoming catastrophic forgetting in neural networks",
        authors="Kirkpatrick, James and Pascanu, Razvan and Rabinowitz, Neil and Veness, Joel "
        "and Desjardins, Guillaume and Rusu, Andrei A. and others",
        venue="Proceedings of the National Academy of Sciences (PNAS)",
        year=2017,
        arxiv="1612.00796",
    )
    differs = (
        "By default F is PyCIL's: squared gradients of batches, true labels, merged, bounded and weighed "
        "alike; but it is "
        "estimated in evaluation mode without augmentation. Presets `pycil` and `survey` estimate it in "
        "training mode on "
        "augmented images. Preset `paper` has the paper's F, per image with labels drawn from the model "
        "and added up over "
        "tasks, under a bound the paper lacks, without which the common learning rate overshoots."
    )
    presets = {
        "paper": {"fisher": "per_sample", "labels": "model", "merge": "sum", "fisher_max": 0.0128},
        "pycil": {"fisher_mode": "training"},
        "survey": {"fisher_mode": "training", "first_task": SURVEY_FIRST_TASK},
        "small": {"fisher": "per_sample", "strength": 10_000.0, "first_task": SMALL, "later_tasks": SMALL},
        "small-batch": {"fisher": "batch", "strength": 10_000.0, "first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["ewc"] = "ewc"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=180, milestones=(70, 120, 150), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
    strength: float = Field(
        default=1000.0,
        ge=0,
        le=1e8,
        description="λ, the weight of the penalty (PyCIL and the survey's grid search).",
    )
    fisher: Literal["per_sample", "batch"] = Field(
        default="batch",
        description="Mean of each image's squared gradient (definition), or of each batch's squared mean "
        "gradient (PyCIL).",
    )
    fisher_mode: Literal["evaluation", "training"] = Field(
        default="evaluation",
        exclude_if=Before("evaluation"),
        description="Mode of the network while F is estimated; `training` also augments the images and "
        "moves batch-norm "
        "statistics (PyCIL). Only for fisher `batch`.",
    )
    labels: Literal["data", "model"] = Field(
        default="data",
        description="True labels (empirical Fisher, PyCIL) or labels drawn from the model's predictions "
        "(definition, paper).",
    )
    merge: Literal["average", "sum"] = Field(
        default="average",
        description="Old and new Fisher averaged by their numbers of classes (PyCIL), or added: one full "
        "penalty per task "
        "(paper).",
    )
    fisher_max: float | None = Field(
        default=1e-4,
        gt=0,
        description="Upper bound of every importance (PyCIL's 1e-4, made for squared gradients of batches; "
        "those of images are up to the batch size larger); null: none (paper). Steps are stable while "
        "strength × bound × learning rate stays below 2.",
    )


class GEMRecipe(Recipe):
    """Gradient Episodic Memory: the memory constrains gradients."""

    title = "GEM"
    family = "regularisation"
    summary = "Projects every gradient so that the loss on no past task's exemplars rises."
    classifiers = ("linear", "nme")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="lopezpaz2017gem",
        title="Gradient Episodic Memory for Continual Learning",
        authors="Lopez-Paz, David and Ranzato, Marc'Aurelio",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2017,
        arxiv="1706.08840",
    )
    differs = (
        "Trains offline and without margin, as PyCIL; preset `paper` is the published single pass. "
        "Exemplars are herded in all presets. Gradients of the memory are taken without augmentation; PyCIL "
        "augments the memory once per task. Exemplars belong to their own task, of any size; PyCIL assumes "
        "tasks of equal size."
    )
    presets = {
        "survey": {"first_task": SURVEY_FIRST_TASK},
        "paper": {"margin": 0.5, "ridge": 1e-3, "first_task": ONE_PASS, "later_tasks": ONE_PASS},
        "small": {"margin": 0.5, "ridge": 1e-3, "first_task": SMALL, "later_tasks": SMALL.rescaled(10)},
    }

    name: Literal["gem"] = "gem"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=100, milestones=(30, 60, 80), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="γ, lower bound of the dual variables (PyCIL 0; official code 0.5).",
    )
    ridge: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Added to the diagonal of the dual problem (PyCIL 0; official code 1e-3).",
    )


class AGEMRecipe(Recipe):
    """Averaged GEM: one constraint for the whole memory."""

    title = "A-GEM"
    family = "regularisation"
    summary = "Removes from every gradient the part that raises the loss on a random batch of exemplars."
    classifiers = ("linear", "nme")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="chaudhry2019agem",
        title="Efficient Lifelong Learning with A-GEM",
        authors="Chaudhry, Arslan and Ranzato, Marc'Aurelio and Rohrbach, Marcus and Elhoseiny, Mohamed",
        venue="International Conference on Learning Representations (ICLR)",
        year=2019,
        arxiv="1812.00420",
    )
    differs = (
        "Trains offline with GEM's schedule; preset `paper` is a single pass. Exemplars are herded in "
        "both; the official "
        "code fills a ring buffer."
    )
    presets = {
        "paper": {"first_task": ONE_PASS, "later_tasks": ONE_PASS},
        "small": {"reference_batch": 32, "first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["agem"] = "agem"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=100, milestones=(30, 60, 80), weight_decay=2e-4),
        description="Schedule of every later task (that of GEM in PyCIL).",
    )
    masks: Literal["task", "none"] = Field(
        default="task",
        description="An image's label competes with the classes of its own task (paper) or with all seen "
        "classes "
        "(mammoth).",
    )
    reference_batch: int = Field(
        default=128,
        ge=1,
        le=65_536,
        description="Exemplars of each reference gradient: as many as images in a batch (mammoth).",
    )


class DERppRecipe(Recipe):
    """Dark Experience Replay++: stored images with stored logits."""

    title = "DER++ (dark experience replay)"
    family = "rehearsal"
    summary = (
        "Rehearses a reservoir of images with the logits recorded when they were stored. "
        "DER, the expandable representation, is another method."
    )
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="buzzega2020dark",
        title="Dark Experience for General Continual Learning: a Strong, Simple Baseline",
        authors="Buzzega, Pietro and Boschini, Matteo and Porrello, Angelo and Abati, Davide and "
        "Calderara, Simone",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2020,
        arxiv="2004.07211",
    )
    differs = (
        "The head grows, so logits are compared on the classes known when they were stored; the original "
        "has all outputs "
        "from the start and regresses them all. Reported figures use a ResNet-18 and 500 exemplars."
    )
    presets = {"small": {"first_task": SMALL, "later_tasks": SMALL}}

    name: Literal["derpp"] = "derpp"
    first_task: Schedule = Field(
        default=Schedule(
            epochs=50, batch_size=32, lr=0.03, momentum=0.0, weight_decay=0.0, milestones=(35, 45), gamma=0.2
        ),
        description="Schedule of the first task (mammoth, CIFAR-100).",
    )
    later_tasks: Schedule = Field(
        default=Schedule(
            epochs=50, batch_size=32, lr=0.03, momentum=0.0, weight_decay=0.0, milestones=(35, 45), gamma=0.2
        ),
        description="Schedule of every later task: the first task's (mammoth, CIFAR-100).",
    )
    alpha: float = Field(
        default=0.3,
        ge=0,
        le=1000,
        description="α, weight of the distance to stored logits (mammoth: 0.3 for CIFAR-100 with 500 "
        "exemplars).",
    )
    beta: float = Field(
        default=0.5,
        ge=0,
        le=1000,
        description="β, weight of the cross-entropy on stored labels (mammoth 0.5); 0 is DER without ++.",
    )
