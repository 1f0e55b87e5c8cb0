"""Recipes of the methods that distil from exemplars and rectify the bias towards new classes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import FIRST_TASK, SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

LONG = Schedule(epochs=250, milestones=(100, 150, 200), weight_decay=2e-4)
"""CIFAR-100 schedule of BiC and WA, every task (papers)."""

REBALANCING = Schedule(epochs=160, milestones=(80, 120), weight_decay=5e-4)
"""CIFAR-100 schedule of UCIR and COIL, every task (official codes)."""

POD = Schedule(epochs=160, curve="cosine", weight_decay=5e-4)
"""CIFAR-100 schedule of PODNet, every task (official code)."""

SMALL_COSINE = Schedule(epochs=15, batch_size=32, lr=0.05, curve="cosine", weight_decay=5e-4)
"""`SMALL` with PODNet's curve, and shorter: its steps cost more."""


class ICaRLRecipe(Recipe):
    """iCaRL: bounded memory, distillation, nearest-mean-of-exemplars classification."""

    title = "iCaRL"
    family = "rectification"
    summary = "Herded exemplars, distillation of the old outputs, and classification by the nearest mean of exemplars."
    classifiers = ("nme", "linear")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="rebuffi2017icarl",
        title="iCaRL: Incremental Classifier and Representation Learning",
        authors="Rebuffi, Sylvestre-Alvise and Kolesnikov, Alexander and Sperl, Georg and Lampert, Christoph H.",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2017,
        arxiv="1611.07725",
    )
    differs = "The default is the widely compared softmax variant (PyCIL); preset `paper` is the published per-class binary cross-entropy."
    presets = {
        "paper": {
            "loss": "bce",
            "nme_flip": True,
            "first_task": Schedule(epochs=70, lr=2.0, milestones=(49, 63), gamma=0.2, weight_decay=2e-5),
            "later_tasks": Schedule(epochs=70, lr=2.0, milestones=(49, 63), gamma=0.2, weight_decay=2e-5),
        },
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
        description="ce: softmax cross-entropy + distillation (PyCIL); bce: per-class binary cross-entropy (paper).",
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
    """BiC: two numbers a task, fitted on held-out images, undo the bias towards new classes."""

    title = "BiC"
    family = "rectification"
    summary = "Distillation from exemplars, then a linear correction of the new classes' logits, fitted on a small balanced held-out set."
    classifiers = ("linear", "nme")
    uses_memory = True
    min_exemplars = 2  # one to train on, one to hold out
    citation: ClassVar[Citation | None] = Citation(
        key="wu2019bic",
        title="Large Scale Incremental Learning",
        authors="Wu, Yue and Chen, Yinpeng and Wang, Lijuan and Ye, Yuancheng and Liu, Zicheng and Guo, Yandong and Fu, Yun",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2019,
        arxiv="1905.13260",
    )
    differs = (
        "Held-out images are drawn anew for every task (PyCIL) instead of staying apart for good, at least one a class. "
        "Every task keeps its own correction (PyCIL); the official code applies the newest alone. One softmax, where PyCIL applies two."
    )
    presets = {
        "pycil": {
            "first_task": Schedule(epochs=170, milestones=(60, 100, 140), weight_decay=2e-4),
            "later_tasks": Schedule(epochs=170, milestones=(60, 100, 140), weight_decay=2e-4),
            "correction": Schedule(epochs=170, milestones=(60, 100, 140), weight_decay=2e-4),
            "shift_penalty": 0.0,
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
        description="Share of a class's exemplars held out, and as many new images a class; at least one (paper, PyCIL).",
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


class WARecipe(Recipe):
    """WA: rescale the new rows of the classifier to the norm of the old ones."""

    title = "WA"
    family = "rectification"
    summary = "Distillation from exemplars, then the classifier rows of new classes are scaled to the mean norm of the old ones."
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
    differs = "Nothing known; preset `pycil` keeps a bias, which aligning leaves as it is, and does not clip weights."
    presets = {
        "pycil": {
            "first_task": FIRST_TASK,
            "later_tasks": Schedule(epochs=170, milestones=(60, 100, 140), weight_decay=2e-4),
            "clip_weights": False,
            "bias": True,
        },
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["wa"] = "wa"
    first_task: Schedule = Field(
        default=LONG, description="Schedule of the first task (paper; PyCIL 200 epochs)."
    )
    later_tasks: Schedule = Field(
        default=LONG, description="Schedule of every later task (paper; PyCIL 170 epochs)."
    )
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="Softmax temperature of the distillation (paper, PyCIL)."
    )
    clip_weights: bool = Field(
        default=True,
        description="Classifier weights are set to at least 0 after every step, so that a row's norm tells how large its logits are (paper).",
    )
    bias: bool = Field(
        default=False,
        description="Whether the classifier has a bias, which aligning does not scale (PyCIL); the paper has none.",
    )


class COILRecipe(Recipe):
    """COIL: optimal transport carries classifier rows between old and new classes."""

    title = "COIL"
    family = "rectification"
    summary = "Starts new classifier rows as mixtures of old ones and restrains old ones by mixtures of new ones, by optimal transport between class means."
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
        "Both plans have matching marginals; with the official code's, the retrospective plan is zero in late tasks. Means of old classes come "
        "from exemplars; the official code looks at all old data and at the next task."
    )
    presets = {"pycil": {"scaled_transport": False}, "small": {"first_task": SMALL, "later_tasks": SMALL}}

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
        description="Order of the norm between class means (official code; the paper squares Euclidean distances).",
    )
    prospective_weight: float = Field(
        default=1e-3,
        ge=0,
        le=1000,
        description="Weight of the transported new rows' answers in epoch 0 (official code).",
    )
    retrospective_weight: float = Field(
        default=1e-3,
        ge=0,
        le=1000,
        description="Weight of the transported old rows' answers, times (epoch / epochs)² (official code).",
    )
    transport_every: int = Field(
        default=30,
        ge=1,
        le=1_000_000,
        description="Steps of an epoch between retrospective transports (official code).",
    )
    scaled_transport: bool = Field(
        default=True,
        description="Whether transported rows answer with the classifier's learned scale, as its own rows do; the official code leaves it out.",
    )


class UCIRRecipe(Recipe):
    """UCIR (LUCIR): a cosine classifier, feature distillation and a margin between old and new classes."""

    title = "UCIR"
    family = "rectification"
    summary = "Cosine classifier with imprinted new rows and frozen old ones, distillation of feature directions, and a margin around old exemplars."
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
        "The class-balanced fine-tuning of the official ImageNet script is left out, as in its CIFAR script."
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
        description="K, new classes each old exemplar is kept away from (official code).",
    )
    selection: Literal["herding_greedy", "herding_welling"] = Field(
        default="herding_welling", description="Which herding (official code: welling)."
    )
    nme_flip: bool = Field(
        default=True,
        description="Average class means over each exemplar and its mirror image (official code).",
    )


class PODNetRecipe(Recipe):
    """PODNet: distil pooled statistics of every stage; several proxies a class."""

    title = "PODNet"
    family = "rectification"
    summary = "Distils pooled statistics of all stages, classifies with several cosine proxies a class, and fine-tunes on a balanced set."
    classifiers = ("linear", "nme")
    uses_memory = True
    signed_features = True
    citation: ClassVar[Citation | None] = Citation(
        key="douillard2020podnet",
        title="PODNet: Pooled Outputs Distillation for Small-Tasks Incremental Learning",
        authors="Douillard, Arthur and Cord, Matthieu and Ollion, Charles and Robert, Thomas and Valle, Eduardo",
        venue="European Conference on Computer Vision (ECCV)",
        year=2020,
        arxiv="2004.13513",
    )
    differs = (
        "The margin of the NCA loss has no effect, as in both public codes; it acts in preset `paper`. The backbone's own stages are "
        "distilled, the last one without its ReLU; the official network has a fourth block."
    )
    presets = {
        "paper": {"nca": "as_stated"},
        "pycil": {
            "spatial_weight": 5.0,
            "clip_gradient": None,
            "finetune": "all",
            "balanced": Schedule(epochs=20, lr=0.005, curve="cosine", weight_decay=5e-4),
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
        description="Schedule of the fine-tuning on a class-balanced set (official code; PyCIL 0.005, cosine).",
    )
    finetune: Literal["classifier", "all"] = Field(
        default="classifier",
        description="What the fine-tuning changes: the new proxies (official code) or everything but old proxies (PyCIL).",
    )
    nca: Literal["as_coded", "as_stated"] = Field(
        default="as_coded",
        description="NCA as both public codes compute it, where the margin has no effect, or with the margin on the right class (paper).",
    )
    margin: float = Field(default=0.6, ge=0, le=2, description="δ of the NCA loss (paper).")
    proxies: int = Field(default=10, ge=1, le=1000, description="P, proxies a class (paper).")
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

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 — the same on every dataset
        """It needs stages to distil."""
        if not backbone.stages:
            raise self.refuse(
                f"it distils the stages of a backbone; {backbone.name} has none", "track", "backbone"
            )
