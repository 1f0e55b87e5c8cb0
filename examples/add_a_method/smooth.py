"""Recipe of replay with label smoothing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cil_core.spec.recipes.base import Recipe
from cil_core.spec.schedule import Schedule


class SmoothReplayRecipe(Recipe):
    """Replay whose targets are smoothed."""

    title = "Smooth replay"
    family = "rehearsal"
    summary = (
        "Replays exemplars and smooths every target, so that logits of old and new classes stay comparable."
    )
    classifiers = ("linear", "nme")
    uses_memory = True

    name: Literal["smooth-replay"] = "smooth-replay"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=70, milestones=(30, 50), weight_decay=2e-4),
        description="Schedule of every later task (as PyCIL's replay).",
    )
    smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each target spread over all classes (own choice)."
    )
