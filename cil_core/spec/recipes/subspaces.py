"""Recipes of the methods that train additions or the network itself in every task of a pre-trained track."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.recipes.base import Citation, Recipe
from cil_core.spec.recipes.tuned import SMALL_TUNING, SitedRecipe
from cil_core.spec.schedule import Schedule


def _sgd(epochs: int, lr: float, batch_size: int, weight_decay: float) -> Schedule:
    return Schedule(epochs=epochs, batch_size=batch_size, lr=lr, curve="cosine", weight_decay=weight_decay)


def _both(schedule: Schedule) -> dict[str, Schedule]:
    return {"first_task": schedule, "later_tasks": schedule}


EASE_CIFAR = _sgd(20, 0.025, 48, 5e-4)
MOS_CIFAR = _sgd(20, 0.03, 48, 5e-4)


class EASERecipe(SitedRecipe):
    """Expandable subspaces."""

    title = "EASE"
    family = "tuning"
    summary = "Trains one set of adapters per task; class means in all subspaces classify."
    citation: ClassVar[Citation | None] = Citation(
        key="zhou2024expandable",
        title="Expandable Subspace Ensemble for Pre-Trained Model-Based Class-Incremental Learning",
        authors="Zhou, Da-Wei and Sun, Hai-Long and Ye, Han-Jia and Zhan, De-Chuan",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2024,
        arxiv="2403.12030",
    )
    differs = (
        "Tasks may have any number of classes. The official code's configurations for OmniBenchmark train "
        "adapters in the first task alone, which is APER; this method always trains them in every task."
    )
    presets = {
        "cub": _both(_sgd(20, 0.008, 32, 5e-4)) | {"others": 0.05},
        "cub-in1k": _both(_sgd(20, 0.005, 16, 5e-4)) | {"others": 0.005, "plain": 1.0},
        "imagenetr": _both(_sgd(20, 0.05, 16, 5e-3)),
        "imageneta": _both(_sgd(20, 0.05, 32, 5e-3)),
        "objectnet": _both(_sgd(25, 0.05, 48, 5e-3)) | {"others": 0.2},
        "vtab": _both(_sgd(45, 0.03, 16, 5e-3)) | {"rank": 16},
        "small": _both(SMALL_TUNING) | {"rank": 8},
    }

    name: Literal["ease"] = "ease"
    first_task: Schedule = Field(
        default=EASE_CIFAR, description="Schedule of the first task (official code: CIFAR-100 on IN21k)."
    )
    later_tasks: Schedule = Field(
        default=EASE_CIFAR, description="Schedule of later tasks (official code: CIFAR-100 on IN21k)."
    )
    rank: int = Field(default=64, ge=1, le=1024, description="Rank of adapters (official code).")
    others: float = Field(
        default=0.1,
        ge=0,
        le=100,
        description="α, weight of the subspaces of other tasks (official code: CIFAR-100).",
    )
    plain: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="β, weight of the network without adapters; 0 leaves it out (official code: 1 for CUB on "
        "IN1k weights).",
    )


class MOSRecipe(SitedRecipe):
    """Model surgery."""

    title = "MOS"
    family = "tuning"
    summary = (
        "Adapters stay near their predecessors; every image finds its adapters by iterating, and class means "
        "vote."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="sun2025mos",
        title="MOS: Model Surgery for Pre-Trained Model-Based Class-Incremental Learning",
        authors="Sun, Hai-Long and Zhou, Da-Wei and Zhao, Hanbin and Gan, Le and Zhan, De-Chuan "
        "and Ye, Han-Jia",
        venue="AAAI Conference on Artificial Intelligence",
        year=2025,
        arxiv="2412.09441",
    )
    differs = (
        "Adapters are merged once per training step, as the paper says, and never in testing. The official "
        "code merges at every forward pass and in every block, so its adapters drift to a running mean, also "
        "while it is tested: published numbers are those of that procedure."
    )
    presets = {
        "published-code": {"merge": 1 - 0.9**13, "stored": "mean"},
        "cub": _both(_sgd(10, 0.01, 32, 5e-4)),
        "imagenetr": _both(_sgd(10, 0.05, 16, 5e-3)),
        "imageneta": _both(_sgd(10, 0.05, 32, 5e-3)),
        "objectnet": _both(_sgd(10, 0.05, 48, 5e-3)),
        "omnibenchmark": _both(_sgd(10, 0.01, 16, 5e-4)),
        "vtab": _both(_sgd(20, 0.03, 32, 5e-3)),
        "small": {
            **_both(SMALL_TUNING),
            "rank": 8,
            "alignment": Schedule(epochs=5, batch_size=160, lr=0.01, curve="cosine", weight_decay=5e-4),
        },
    }

    name: Literal["mos"] = "mos"
    first_task: Schedule = Field(
        default=MOS_CIFAR, description="Schedule of the first task (official code: CIFAR-100)."
    )
    later_tasks: Schedule = Field(
        default=MOS_CIFAR, description="Schedule of later tasks (official code: CIFAR-100)."
    )
    alignment: Schedule = Field(
        default=Schedule(epochs=30, batch_size=240, lr=0.005, curve="cosine", weight_decay=5e-4),
        description="Schedule of the head's alignment; a pass draws as many features per class as a batch "
        "has, five times the batch of training (official code).",
    )
    rank: int = Field(default=16, ge=1, le=1024, description="Rank of adapters (official code).")
    head_rate: float = Field(
        default=0.1, gt=0, le=100, description="The head's learning rate as a multiple (official code)."
    )
    orthogonality: float = Field(
        default=0.1, ge=0, le=100, description="λ of the term that keeps features apart (official code)."
    )
    merge: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of the distance to the earlier adapters' mean that a step covers (paper).",
    )
    stored: Literal["trained", "mean"] = Field(
        default="trained",
        description="What stays behind after a later task: the trained adapters (paper), or the mean of the "
        "earlier ones, to which the official code drifts while it is tested.",
    )


SLCA_CIFAR = Schedule(epochs=20, batch_size=128, lr=0.01, milestones=(18,), weight_decay=5e-4)
SLCA_LONG = Schedule(epochs=50, batch_size=128, lr=0.01, milestones=(40,), weight_decay=5e-4)
SLCA_MOCO = Schedule(epochs=90, batch_size=128, lr=0.01, milestones=(80,), weight_decay=5e-4)
ALIGNMENT = Schedule(epochs=5, batch_size=256, lr=0.01, curve="cosine", weight_decay=5e-4)


class SLCARecipe(Recipe):
    """Slow learner with classifier alignment."""

    title = "SLCA"
    family = "tuning"
    needs = "whole network"
    pretrained = "required"
    summary = (
        "Tunes the whole network slowly; features drawn from class Gaussians align the head for testing."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhang2023slca",
        title="SLCA: Slow Learner with Classifier Alignment for Continual Learning on a Pre-trained Model",
        authors="Zhang, Gengwei and Wang, Liyuan and Kang, Guoliang and Chen, Ling and Wei, Yunchao",
        venue="IEEE/CVF International Conference on Computer Vision (ICCV)",
        year=2023,
        arxiv="2303.05118",
    )
    differs = (
        "Classes belong to the task that brought them; the official code divides their number by a "
        "constant. A class with one image has zero covariance. Covariances are factored once per task."
    )
    presets = {
        "fifty-epochs": _both(SLCA_LONG),
        "cars": {**_both(SLCA_LONG), "temperature": 0.05},
        "mocov3": _both(SLCA_MOCO),
        "small": {
            **_both(Schedule(epochs=10, batch_size=32, lr=0.05, milestones=(8,), weight_decay=5e-4)),
            "alignment": ALIGNMENT.model_copy(update={"batch_size": 64}),
        },
    }

    name: Literal["slca"] = "slca"
    first_task: Schedule = Field(
        default=SLCA_CIFAR, description="Schedule of the first task (official code: CIFAR-100)."
    )
    later_tasks: Schedule = Field(
        default=SLCA_CIFAR, description="Schedule of later tasks (official code: CIFAR-100)."
    )
    alignment: Schedule = Field(
        default=ALIGNMENT,
        description="Schedule of the head's alignment; a pass draws as many features per class as a batch "
        "has (official code).",
    )
    network_rate: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="The network's learning rate as a share of the head's (official code).",
    )
    temperature: float = Field(
        default=0.1, gt=0, le=100, description="τ of the alignment (official code: CIFAR-100)."
    )


def _slow(epochs: int, **fields: float) -> dict[str, Any]:
    """SLCA++: a cosine that ends at a hundredth of the rate."""
    schedule = Schedule.model_validate(
        {"epochs": epochs, "batch_size": 128, "lr": 0.01, "curve": "cosine", "min_lr": 1e-4, **fields}
    )
    return _both(schedule)


class SLCAppRecipe(SitedRecipe):
    """SLCA with parameter-efficient tuning."""

    title = "SLCA++"
    family = "tuning"
    summary = (
        "Tunes low-rank updates, norms and biases slowly; features drawn from class Gaussians align the head "
        "for testing."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhang2024slcapp",
        title="SLCA++: Unleash the Power of Sequential Fine-tuning for Continual Learning with Pre-training",
        authors="Zhang, Gengwei and Wang, Liyuan and Kang, Guoliang and Chen, Ling and Wei, Yunchao",
        venue="arXiv",
        year=2024,
        arxiv="2408.08295",
    )
    differs = SLCARecipe.differs
    presets = {
        "fifty-epochs": _slow(50),
        "imagenetr": {**_slow(50, weight_decay=0.0), "forward_weight": 0.5, "reverse_weight": 0.5},
        "mocov3": _slow(90),
        "small": {
            **_slow(10, batch_size=32, lr=0.05),
            "network_rate": 0.02,
            "first_update_rate": 0.1,
            "alignment": ALIGNMENT.model_copy(update={"batch_size": 64}),
        },
    }

    name: Literal["slcapp"] = "slcapp"
    first_task: Schedule = Field(
        default=_slow(20)["first_task"], description="Schedule of the first task (official code: CIFAR-100)."
    )
    later_tasks: Schedule = Field(
        default=_slow(20)["later_tasks"], description="Schedule of later tasks (official code: CIFAR-100)."
    )
    alignment: Schedule = Field(
        default=ALIGNMENT,
        description="Schedule of the head's alignment; a pass draws as many features per class as a batch "
        "has (official code).",
    )
    rank: int = Field(default=4, ge=1, le=1024, description="Rank of the updates (official code).")
    network_rate: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="The network's learning rate as a share of the head's (official code).",
    )
    first_update_rate: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Likewise of the low-rank updates in the first task (official code).",
    )
    forward_weight: float = Field(
        default=1.0, ge=0, le=100, description="a, weight of cross-entropy (official code: CIFAR-100)."
    )
    reverse_weight: float = Field(
        default=0.1, ge=0, le=100, description="b, weight of its reverse (official code: CIFAR-100)."
    )
    temperature: float = Field(
        default=0.1, gt=0, le=100, description="τ of the alignment (official code: CIFAR-100)."
    )
    enlargement: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="By how much features grow per task for the layers of older tasks (official code).",
    )


def _adam(epochs: int) -> dict[str, Any]:
    return _both(
        Schedule(
            epochs=epochs,
            batch_size=128,
            optimizer="adam",
            lr=5e-4,
            weight_decay=0.0,
            curve="quarter_cosine",
        )
    )


class InfLoRARecipe(SitedRecipe):
    """Interference-free low-rank adaptation."""

    title = "InfLoRA"
    family = "tuning"
    summary = "Learns low-rank updates in input directions that old tasks do not use."
    citation: ClassVar[Citation | None] = Citation(
        key="liang2024inflora",
        title="InfLoRA: Interference-Free Low-Rank Adaptation for Continual Learning",
        authors="Liang, Yan-Shuo and Li, Wu-Jun",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2024,
        arxiv="2404.00228",
    )
    differs = (
        "If the first task fills more than half of the directions, the complement is kept; the official code "
        "keeps the directions themselves. Updates are merged into the weights after every task."
    )
    presets = {
        "imagenetr": {**_adam(50), "energy": 0.98},
        "small": {
            **_both(
                Schedule(
                    epochs=10,
                    batch_size=32,
                    optimizer="adam",
                    lr=5e-3,
                    weight_decay=0.0,
                    curve="quarter_cosine",
                )
            ),
            "rank": 4,
            "energy": 0.9,
        },
    }

    name: Literal["inflora"] = "inflora"
    first_task: Schedule = Field(
        default=_adam(20)["first_task"], description="Schedule of the first task (official code: CIFAR-100)."
    )
    later_tasks: Schedule = Field(
        default=_adam(20)["later_tasks"], description="Schedule of later tasks (official code: CIFAR-100)."
    )
    rank: int = Field(default=10, ge=1, le=1024, description="Rank of an update (official code).")
    energy: float = Field(
        default=0.95,
        gt=0,
        lt=1,
        description="Share of the inputs' energy to remember in the first task; it rises to 1 with the tasks "
        "(official code: CIFAR-100).",
    )
    merged: bool = Field(
        default=True, description="Whether updates become part of the weights after their task."
    )
