"""Recipes of the methods that restrain change: of outputs, of parameters, of gradients."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.recipes.base import SMALL, Citation, Recipe
from cil_core.schedule import Schedule


class LwF(Recipe):
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
    differs = "The weight of the distillation is PyCIL's 3; the paper's is 1 (preset `paper`). The paper's head-only warm-up is left out."
    presets = {"paper": {"distillation_weight": 1.0}, "small": {"first_task": SMALL, "later_tasks": SMALL}}

    name: Literal["lwf"] = "lwf"
    first_task: Schedule = Field(default=Schedule(epochs=200, milestones=(60, 120, 160)), description="Schedule of the first task (PyCIL: last milestone 160).")
    later_tasks: Schedule = Field(
        default=Schedule(epochs=250, milestones=(60, 120, 180, 220), weight_decay=2e-4), description="Schedule of every later task (PyCIL)."
    )
    distillation_weight: float = Field(default=3.0, ge=0, le=1000, description="Weight of the distillation term (PyCIL 3; paper 1).")
    temperature: float = Field(default=2.0, gt=0, le=100, description="Softmax temperature of the distillation (paper, PyCIL).")
    l2_sp: float = Field(default=0.0, ge=0, le=1000, description="Weight of (1/2)||θ − θ_old||², the L2-SP term; 0 in the paper.")
