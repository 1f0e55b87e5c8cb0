"""Recipes of the bounds and of plain replay."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cil_core.spec.recipes.base import FIRST_TASK, SMALL, SURVEY_FIRST_TASK, Citation, Recipe
from cil_core.spec.schedule import Schedule


class FinetuneRecipe(Recipe):
    """Train on each task's own data: the lower bound."""

    title = "Finetune"
    family = "baseline"
    summary = "Trains on each task's own data only; shows the full extent of forgetting."
    presets = {
        "survey": {"first_task": SURVEY_FIRST_TASK},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }

    name: Literal["finetune"] = "finetune"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=80, milestones=(40, 70), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
    logits: Literal["slice", "full"] = Field(
        default="slice",
        description="Cross-entropy over the new classes only (slice, as PyCIL) or over all seen classes "
        "(full).",
    )


class JointRecipe(Recipe):
    """Train a fresh model on everything seen so far: the upper bound."""

    title = "Joint"
    family = "baseline"
    summary = "Trains a new model on the data of all tasks so far: an upper bound, shown and never ranked."
    ranked = False

    name: Literal["joint"] = "joint"
    later_tasks: Schedule = Field(
        default=FIRST_TASK,
        description="Schedule of every later task: the first task's, since the model is fresh.",
    )


class ReplayRecipe(Recipe):
    """Mix stored exemplars into training; no distillation."""

    title = "Replay"
    family = "rehearsal"
    summary = "Keeps herded exemplars and mixes them into the new task's data: the value of memory alone."
    presets = {
        "survey": {"first_task": SURVEY_FIRST_TASK},
        "small": {"first_task": SMALL, "later_tasks": SMALL},
    }
    classifiers = ("linear", "nme")
    uses_memory = True
    citation: ClassVar[Citation | None] = Citation(
        key="chaudhry2019tiny",
        title="On Tiny Episodic Memories in Continual Learning",
        authors="Chaudhry, Arslan and Rohrbach, Marcus and Elhoseiny, Mohamed and Ajanthan, Thalaiyasingam "
        "and Dokania, Puneet K. and Torr, Philip H. S. and Ranzato, Marc'Aurelio",
        venue="arXiv preprint",
        year=2019,
        arxiv="1902.10486",
    )
    differs = "Trains offline with herded exemplars, as PyCIL; the paper learns online from a reservoir."

    name: Literal["replay"] = "replay"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=70, milestones=(30, 50), weight_decay=2e-4),
        description="Schedule of every later task (PyCIL).",
    )
