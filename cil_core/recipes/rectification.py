"""Recipes of the methods that distil from exemplars and rectify the bias towards new classes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.recipes.base import SMALL, Citation, Recipe
from cil_core.schedule import Schedule


class ICaRL(Recipe):
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
        "small-bce": {"loss": "bce", "first_task": SMALL.model_copy(update={"lr": 0.5}), "later_tasks": SMALL.model_copy(update={"lr": 0.5})},
    }

    name: Literal["icarl"] = "icarl"
    later_tasks: Schedule = Field(default=Schedule(epochs=170, milestones=(80, 120), weight_decay=2e-4), description="Schedule of every later task (PyCIL).")
    loss: Literal["ce", "bce"] = Field(
        default="ce", description="ce: softmax cross-entropy + distillation (PyCIL); bce: per-class binary cross-entropy (paper)."
    )
    temperature: float = Field(default=2.0, gt=0, le=100, description="Softmax temperature of the distillation, loss `ce` only (PyCIL).")
    selection: Literal["herding_greedy", "herding_welling"] = Field(
        default="herding_greedy", description="Greedy herding (paper, algorithm 4) or the variant of the official code."
    )
    nme_flip: bool = Field(default=False, description="Average class means over each exemplar and its mirror image (official code).")
