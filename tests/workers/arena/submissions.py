"""Submissions whose file is a built-in method and a few lines that change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cil_core.engine.machine import Machine
from cil_core.spec.events import Event, TaskEvaluated
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.recipes import BY_NAME
from workers.arena.submission import Submission

TWO_TASKS = "digits-b0-inc5-m60-convnet-holdout50"
THREE_TASKS = "digits-b4-inc3-m60-convnet-holdout50"
MACHINE = Machine(data_root=Path("/nonexistent"))  # digits come with scikit-learn

_BUILT_IN = """
from cil_core.engine.registry import method_class
from cil_core.spec.recipes import BY_NAME

RECIPE, METHOD = BY_NAME["{name}"], method_class("{name}")
"""

Examine = Callable[..., Iterator[Event]]


def spec_of(name: str, track: str = THREE_TASKS, seed: int = 7, epochs: int = 1) -> RunSpec:
    """The built-in method with few epochs in every schedule."""
    recipe = BY_NAME[name].from_preset("small")
    short = {
        field: schedule.rescaled(min(epochs, schedule.epochs)).model_dump()
        for field, schedule in recipe.schedules.items()
    }
    method = BY_NAME[name].model_validate({**recipe.model_dump(), **short})
    return RunSpec(method=method, track=Track.from_slug(track), seed=seed)


def submission(spec: RunSpec, changes: str = "") -> Submission:
    """The method of `spec` as a file; `changes` is code after its definition."""
    return Submission(_BUILT_IN.format(name=spec.method.name) + changes, spec.method)


def evaluations(events: Iterable[Event]) -> list[TaskEvaluated]:
    return [event for event in events if isinstance(event, TaskEvaluated)]
