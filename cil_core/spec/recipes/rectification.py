"""Recipes that distil from exemplars and correct the bias towards new classes: iCaRL, BiC and WA."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.base import Before
from cil_core.spec.recipes.base import FIRST_TASK, SMALL, SURVEY_FIRST_TASK, Citation, Recipe
from cil_core.spec.schedule import Schedule

LONG = Schedule(epochs=250, milestones=(100, 150, 200), weight_decay=2e-4)
"""CIFAR-100 schedule of BiC and WA, every task (papers)."""

PYCIL_170 = Schedule(epochs=170, milestones=(60, 100, 140), weight_decay=2e-4)
"""Later tasks of PyCIL's BiC and WA; in BiC also the first task and the correction."""


class ICaRLRecipe(Recipe):
    """iCaRL: bounded memory, distillation, nearest-mean-of-exemplars classification."""

    title = "iCaRL"
    family = "rectification"
    summary = "Herds exemplars, distils the old outputs, and classifies by the nearest mean of exemplars."
    classifiers = ("nme", "linear")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="rebuffi2017icarl",
        title="iCaRL: Incremental Classifier and Representation Learning",
        authors="Rebuffi, Sylvestre-Alvise and Kolesnikov, Alexander and Sperl, Georg and Lampert, "
        "Christoph H.",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2017,
        arxiv="1611.07725",
    )
    differs = (
        "The default is PyCIL's softmax variant, which most papers compare with. "
        "Preset `paper` is the published per-class binary cross-entropy; its memory quota is rounded down, "
        "the official code rounds up."
    )
    presets = {
        "paper": {
            "loss": "bce",
            "nme_flip": True,
            "first_task": Schedule(epochs=70, lr=2.0, milestones=(49, 63), gamma=0.2, weight_decay=2e-5),
            "later_tasks": Schedule(epochs=70, lr=2.0, milestones=(49, 63), gamma=0.2, weight_decay=2e-5),
        },
        "survey": {"first_task": SURVEY_FIRST_TASK},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
        "small-bce": {
            "loss": "bce",
            "first_task": SMALL.model_copy(update={"lr": 0.5}),
            "later_tasks": SMALL.model_copy(update={"lr": 0.5}),
        },
    }

    name: Literal["icarl"] = "icarl"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=170, milestones=(80, 120), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
    loss: Literal["ce", "bce"] = Field(
        default="ce",
        description="ce: softmax cross-entropy + distillation (PyCIL); bce: per-class binary cross-entropy "
        "(paper).",
    )
    temperature: float = Field(
        default=2.0,
        gt=0,
        le=100,
        description="Softmax temperature of the distillation, loss `ce` only (PyCIL).",
    )
    selection: Literal["herding_greedy", "herding_welling"] = Field(
        default="herding_greedy",
        description="Greedy herding (paper, algorithm 4) or the variant of the official code.",
    )
    nme_flip: bool = Field(
        default=False,
        description="Average class means over each exemplar and its mirror image (official code).",
    )


class BiCRecipe(Recipe):
    """BiC: two numbers per task, fitted on held-out images, undo the bias towards new classes."""

    title = "BiC"
    family = "rectification"
    summary = (
        "Distils from exemplars, then corrects the new classes' logits linearly; the correction is fitted "
        "on a small balanced held-out set."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    min_exemplars = min_images = 2  # one to train on, one to hold out
    citation: ClassVar[Citation | None] = Citation(
        key="wu2019bic",
        title="Large Scale Incremental Learning",
        authors="Wu, Yue and Chen, Yinpeng and Wang, Lijuan and Ye, Yuancheng and Liu, Zicheng and Guo, "
        "Yandong "
        "and Fu, Yun",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2019,
        arxiv="1905.13260",
    )
    differs = (
        "Every task draws new held-out images, at least one per class (PyCIL); in the paper they stay "
        "apart for good. "
        "Every task keeps its own correction (PyCIL); the official code applies only the newest. "
        "Preset `pycil` fits the correction as PyCIL does: cross-entropy of probabilities, batch norm in "
        "training mode."
    )
    presets = {
        "pycil": {
            "first_task": PYCIL_170,
            "later_tasks": PYCIL_170,
            "correction": PYCIL_170,
            "shift_penalty": 0.0,
            "correction_input": "probabilities",
            "correction_mode": "training",
        },
        "small": {
            "first_task": SMALL,
            "later_tasks": SMALL,
            "correction": Schedule(epochs=60, batch_size=32, lr=0.1, milestones=(40,), weight_decay=0),
        },
    }

    name: Literal["bic"] = "bic"
    first_task: Schedule = Field(
        default=LONG, description="Schedule of the first task (paper; PyCIL 170 epochs)."
    )
    later_tasks: Schedule = Field(
        default=LONG, description="Schedule of every later task (paper; PyCIL 170 epochs)."
    )
    correction: Schedule = Field(
        default=Schedule(epochs=500, milestones=(200, 300, 400), weight_decay=0),
        description="Schedule of the correction (official code: twice the epochs of training; PyCIL 170).",
    )
    held_out: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="Share of a class's exemplars that is held out, and as many new images per class; "
        "at least one (paper, PyCIL).",
    )
    shift_penalty: float = Field(
        default=0.1,
        ge=0,
        le=1000,
        description="Weight of β²/2 while the correction is fitted (official code; PyCIL 0).",
    )
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="Softmax temperature of the distillation (paper, PyCIL)."
    )
    correction_input: Literal["logits", "probabilities"] = Field(
        default="logits",
        exclude_if=Before("logits"),
        description="What the correction's cross-entropy takes as logits: the corrected logits (paper) "
        "or their softmax (PyCIL).",
    )
    correction_mode: Literal["evaluation", "training"] = Field(
        default="evaluation",
        exclude_if=Before("evaluation"),
        description="Mode of the network while the correction is fitted; `training` also moves batch-norm "
        "statistics (PyCIL).",
    )


class WARecipe(Recipe):
    """WA: rescale the new rows of the classifier to the norm of the old ones."""

    title = "WA"
    family = "rectification"
    summary = (
        "Distils from exemplars, then scales the classifier rows of new classes to the mean norm of the "
        "old ones."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="zhao2020wa",
        title="Maintaining Discrimination and Fairness in Class Incremental Learning",
        authors="Zhao, Bowen and Xiao, Xi and Gan, Guojun and Zhang, Bin and Xia, Shu-Tao",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2020,
        arxiv="1911.07053",
    )
    differs = (
        "There is no official code; the paper's schedule and batch size were not checked. "
        "Presets `pycil` and `survey` keep a bias, which aligning leaves as it is, and do not clip weights. "
        "The survey's code weighs the distillation by 2, PyCIL's by the share of old classes."
    )
    presets = {
        "pycil": {
            "first_task": FIRST_TASK,
            "later_tasks": PYCIL_170,
            "clip_weights": False,
            "bias": True,
        },
        "survey": {
            "first_task": SURVEY_FIRST_TASK,
            "later_tasks": PYCIL_170,
            "clip_weights": False,
            "bias": True,
            "distillation_weight": 2.0,
        },
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["wa"] = "wa"
    first_task: Schedule = Field(
        default=LONG,
        description="Schedule of the first task (an unofficial re-implementation; PyCIL 200 epochs).",
    )
    later_tasks: Schedule = Field(
        default=LONG,
        description="Schedule of every later task (an unofficial re-implementation; PyCIL 170 epochs).",
    )
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="Softmax temperature of the distillation (paper, PyCIL)."
    )
    clip_weights: bool = Field(
        default=True,
        description="Sets negative classifier weights to 0 after every step, so that a row's norm tells "
        "how large "
        "its logits are (paper).",
    )
    bias: bool = Field(
        default=False,
        description="Whether the classifier has a bias, which aligning does not scale (PyCIL); the paper "
        "has none.",
    )
    distillation_weight: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        exclude_if=Before(None),
        description="w in CE + w · KD (survey's code: 2); null: (1 − λ) · CE + λ · KD with λ = o / n "
        "(PyCIL).",
    )
