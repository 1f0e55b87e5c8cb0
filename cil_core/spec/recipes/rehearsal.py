"""Recipes that rehearse exemplars: ER-ACE and SS-IL keep classes from competing, GDumb rehearses alone."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.recipes.base import SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule

MAMMOTH = Schedule(
    epochs=50, batch_size=32, lr=0.03, momentum=0.0, weight_decay=0.0, milestones=(35, 45), gamma=0.2
)
"""CIFAR-100 in mammoth, every task."""

ONLINE = Schedule(epochs=1, batch_size=10, lr=0.1, momentum=0.0, weight_decay=0.0)
"""A single pass over CIFAR-10 in mammoth, the setting of ER-ACE's authors."""

GDUMB_RESTARTS = Schedule(
    epochs=256,
    batch_size=16,
    lr=0.05,
    weight_decay=1e-6,
    curve="cosine_restarts",
    min_lr=5e-4,
    warmup_epochs=1,
    warmup_lr=5e-3,
    clip_norm=10.0,
)
"""GDumb on every data set: one epoch at a tenth, then cosines of 1, 2, 4 … epochs (official code)."""

SMALL_RESTARTS = GDUMB_RESTARTS.model_copy(update={"epochs": 64, "batch_size": 8})
"""For a memory of a few dozen images."""


class ERACERecipe(Recipe):
    """Experience replay with asymmetric cross-entropy."""

    title = "ER-ACE"
    family = "rehearsal"
    summary = (
        "Lets new images compete only with the classes of their own batch, and rehearsed ones with all "
        "classes, so that new images do not push old logits down."
    )
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="caccia2022erace",
        title="New Insights on Reducing Abrupt Representation Change in Online Continual Learning",
        authors="Caccia, Lucas and Aljundi, Rahaf and Asadi, Nader and Tuytelaars, Tinne and Pineau, Joelle "
        "and Belilovsky, Eugene",
        venue="International Conference on Learning Representations (ICLR)",
        year=2022,
        arxiv="2104.05025",
    )
    differs = (
        "The default trains offline with mammoth's CIFAR-100 schedule; preset `online` is the single pass, "
        "with this project's backbones and heads instead of a narrow ResNet-18 with a cosine head. The head "
        "grows, so only classes present in a batch compete; both public codes also admit the outputs of "
        "classes to come. Absent classes are removed from the softmax, not set to −1e9."
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "online": {"first_task": ONLINE, "later_tasks": ONLINE},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["er-ace"] = "er-ace"
    first_task: Schedule = Field(
        default=MAMMOTH, description="Schedule of the first task (mammoth, CIFAR-100)."
    )
    later_tasks: Schedule = Field(
        default=MAMMOTH,
        description="Schedule of every later task: the first task's (mammoth, CIFAR-100).",
    )
    mask: Literal["batch", "task"] = Field(
        default="batch",
        description="New images compete with the classes present in their batch (paper), or with all "
        "classes of their task.",
    )
    task_free: bool = Field(
        default=False,
        description="Rehearse and restrict from the first step on, without regard to tasks (mammoth for "
        "buffers of 200); otherwise from the second task on.",
    )


class SSILRecipe(Recipe):
    """Separated Softmax for Incremental Learning."""

    title = "SS-IL"
    family = "rehearsal"
    summary = (
        "Gives new and old classes a softmax each and distils task by task, so that a bias towards new "
        "classes does not arise."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="ahn2021ssil",
        title="SS-IL: Separated Softmax for Incremental Learning",
        authors="Ahn, Hongjoon and Kwak, Jihwan and Lim, Subin and Bang, Hyeonsu and Kim, Hyojun and Moon, "
        "Taesup",
        venue="IEEE International Conference on Computer Vision (ICCV)",
        year=2021,
        arxiv="2003.13947",
    )
    differs = (
        "Exemplars are herded; the official code keeps a list in arbitrary order. An epoch is one pass over "
        "the new images, each batch with freshly drawn exemplars; the official one ends with the shorter of "
        "two loaders. New labels count from the task's first class, so tasks may differ in size. The "
        "official code has no schedule for CIFAR: the default is replay's in PyCIL, and preset `imagenet` "
        "the official one."
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "imagenet": {
            "first_task": Schedule(epochs=100, milestones=(40, 80), weight_decay=1e-4),
            "later_tasks": Schedule(epochs=100, milestones=(40, 80), weight_decay=1e-4),
        },
        "small": {"replay_batch": 8, "first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["ss-il"] = "ss-il"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=70, milestones=(30, 50), weight_decay=2e-4),
        description="Schedule of every later task (that of replay in PyCIL); its batches are of new images.",
    )
    replay_batch: int = Field(
        default=32,
        ge=1,
        le=65_536,
        description="Exemplars beside every batch of new images (official code: 32 beside 128).",
    )
    temperature: float = Field(
        default=2.0, gt=0, le=100, description="Softmax temperature of the distillation (official code)."
    )


class GDumbRecipe(Recipe):
    """Greedy Sampler and Dumb Learner."""

    title = "GDumb"
    family = "rehearsal"
    summary = (
        "Keeps a class-balanced sample and trains a new network from scratch on nothing else: what memory "
        "alone achieves."
    )
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="prabhu2020gdumb",
        title="GDumb: A Simple Approach that Questions Our Progress in Continual Learning",
        authors="Prabhu, Ameya and Torr, Philip H. S. and Dokania, Puneet K.",
        venue="European Conference on Computer Vision (ECCV)",
        year=2020,
    )
    differs = (
        "The network of the last epoch is evaluated; the official code reports the best test accuracy of "
        "all epochs. Images are sampled at random; the official code takes the first of each class. "
        "Training is in single precision and repeated after every task. The track's augmentation applies "
        "before CutMix."
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"first_task": SMALL_RESTARTS, "later_tasks": SMALL_RESTARTS}
    }

    name: Literal["gdumb"] = "gdumb"
    first_task: Schedule = Field(
        default=GDUMB_RESTARTS, description="Schedule of the first task (official code)."
    )
    later_tasks: Schedule = Field(
        default=GDUMB_RESTARTS,
        description="Schedule of every later task: the first task's, since the network is fresh (official "
        "code).",
    )
    cutmix: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Probability that a batch is mixed by CutMix with α = 1 (official code); 0 is plain.",
    )
