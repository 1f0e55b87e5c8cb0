"""Recipes of the methods whose classifier is a ridge regression on a frozen backbone."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.recipes.base import FIRST_TASK, SMALL, Citation, Recipe
from cil_core.spec.schedule import Schedule


class RanPACRecipe(Recipe):
    """Random projections and ridge regression."""

    title = "RanPAC"
    family = "prototype"
    needs = "frozen features"
    summary = (
        "Expands frozen features by random projections; sums over all tasks give the joint ridge regression."
    )
    min_images = 2
    citation: ClassVar[Citation | None] = Citation(
        key="mcdonnell2023ranpac",
        title="RanPAC: Random Projections and Pre-trained Models for Continual Learning",
        authors="McDonnell, Mark D. and Gong, Dong and Parvaneh, Amin and Abbasnejad, Ehsan "
        "and van den Hengel, Anton",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2023,
        arxiv="2307.02251",
    )
    differs = (
        "Nothing adapts a pretrained network to the first task: phase 1 is left out, so figures compare with "
        "the paper's rows without it. Without pretrained weights, the backbone trains on the first task. "
        "Sums are float64, the official code's float32; the split that chooses the ridge follows the seed."
    )
    presets = {
        "compact": {"expansion": 2000},
        "no-projection": {"expansion": 0},
        "small": {"first_task": SMALL, "expansion": 500},
    }

    name: Literal["ranpac"] = "ranpac"
    first_task: Schedule = Field(
        default=FIRST_TASK,
        description="Schedule of the first task, without pretrained weights (PyCIL; the paper has none).",
    )
    expansion: int = Field(
        default=10_000,
        ge=0,
        le=32_768,
        description="M, random features; 0 uses the features as they are. "
        "The method keeps M² numbers of 8 bytes (paper, official code).",
    )
    ridge: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="λ, the weight of the ridge; null chooses among 10⁻⁸ … 10⁸ after each task, by the "
        "squared error on a fifth of its images (official code).",
    )


_OFFICIAL_BASE = Schedule(epochs=300, batch_size=256, lr=0.5, curve="cosine", weight_decay=5e-4)
"""First task of the official benchmark of analytic methods."""

_ANALYTIC_BATCH = "Images of one update; it changes speed, not the result"


class DSALRecipe(Recipe):
    """Dual-stream analytic learning."""

    title = "DS-AL"
    family = "prototype"
    needs = "frozen features"
    summary = (
        "Adds to ACIL's regression a second one on another activation, which learns the first one's residual."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhuang2024dsal",
        title="DS-AL: A Dual-Stream Analytic Learning for Exemplar-Free Class-Incremental Learning",
        authors="Zhuang, Huiping and He, Run and Tong, Kai and Zeng, Ziqian and Chen, Cen and Lin, Zhiping",
        venue="AAAI Conference on Artificial Intelligence",
        year=2024,
        arxiv="2403.17503",
    )
    differs = (
        "Residuals are those of the main regression after the whole task, so that the result does not depend "
        "on batches. The official code and PyCIL take them after each batch: preset `pycil`. The official "
        "code keeps the epoch that is best on the test set; the last one is kept here. Preset `paper` leaves "
        "out the official code's optional augmentation."
    )
    presets = {
        "imagenet": {
            "expansion": 16_384,
            "compensation": 1.5,
            "first_task": _OFFICIAL_BASE,
            "passes": "running",
        },
        "paper": {"first_task": _OFFICIAL_BASE, "passes": "running"},
        "pycil": {"passes": "running"},
        "small": {"first_task": SMALL, "expansion": 500},
    }

    name: Literal["ds-al"] = "ds-al"
    first_task: Schedule = Field(
        default=Schedule(epochs=160, milestones=(120, 140), weight_decay=5e-4),
        description="Schedule of the first task, the only one (PyCIL).",
    )
    expansion: int = Field(
        default=8192,
        ge=1,
        le=32_768,
        description="D, random features; the method keeps 2 D² numbers of 8 bytes (official code, PyCIL).",
    )
    ridge: float = Field(
        default=0.1, gt=0, le=1e6, description="γ of the main regression (official code, PyCIL)."
    )
    compensation_ridge: float = Field(
        default=0.1, gt=0, le=1e6, description="γ of the compensation (official code, PyCIL)."
    )
    compensation: float = Field(
        default=0.6,
        ge=0,
        le=1000,
        description="C, the weight of the compensation, tuned by its authors on CIFAR-100's test set "
        "(official code, PyCIL).",
    )
    passes: Literal["two", "running"] = Field(
        default="two",
        description="Residuals after the whole task (two, own choice) or after each batch (running: official "
        "code, PyCIL).",
    )
    analytic_batch: int = Field(
        default=4096,
        ge=1,
        le=65_536,
        description=f"{_ANALYTIC_BATCH} of two passes (official code, PyCIL).",
    )


class GKEALRecipe(Recipe):
    """Gaussian-kernel embedded analytic learning."""

    title = "GKEAL"
    family = "prototype"
    needs = "frozen features"
    summary = (
        "Freezes the backbone after the first task; a recursive ridge regression uses Gaussian similarities "
        "to features of that task."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="zhuang2023gkeal",
        title="GKEAL: Gaussian Kernel Embedded Analytic Learning for Few-Shot Class Incremental Task",
        authors="Zhuang, Huiping and Weng, Zhenyu and He, Run and Lin, Zhiping and Zeng, Ziqian",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2023,
    )
    differs = (
        "Augmented images are not repeated, as in the official code's simplified version. Centres are drawn "
        "from all images of the first task; the code permutes the first ones only. With too few images there "
        "are fewer centres; the code adds random combinations. Its optional augmentation is left out."
    )
    presets = {"small": {"first_task": SMALL, "centres": 500, "sigma": None}}

    name: Literal["gkeal"] = "gkeal"
    first_task: Schedule = Field(
        default=_OFFICIAL_BASE, description="Schedule of the first task, the only one (official code)."
    )
    centres: int = Field(
        default=8192,
        ge=1,
        le=32_768,
        description="D, centres, at most the images of the first task; the method keeps D² numbers of "
        "8 bytes (official code).",
    )
    sigma: float | None = Field(
        default=10.0,
        gt=0,
        le=1e6,
        description="σ, the width of the kernel in units of the features (official code); null takes the "
        "median distance of 1000 pairs of features.",
    )
    ridge: float = Field(default=0.1, gt=0, le=1e6, description="γ, the weight of the ridge (official code).")
    analytic_batch: int = Field(
        default=4096, ge=1, le=65_536, description=f"{_ANALYTIC_BATCH} (official code)."
    )
