"""`start(name, …)`: a method and its tasks on digits, for tests that walk step by step as the engine does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cil_core.data import load
from cil_core.data.order import task_stream
from cil_core.engine.registry import create
from cil_core.engine.run import context_of, learn_task
from cil_core.engine.trainer import train
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Phase, Step, Task
from cil_core.spec.catalog import WEIGHTS
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.weights_files import verified


class Walk:
    """A method on its way through the tasks of a track.

    Args:
        name: of the recipe.
        track: slug.
        epochs: of every schedule.
        data_root: where the note on the checked weights is kept.
        changes: of the recipe, from its preset `small`.
    """

    def __init__(
        self,
        name: str,
        track: str = "digits-b4-inc3-m60-convnet",
        epochs: int = 1,
        data_root: Path = Path("/nonexistent"),  # digits come with scikit-learn
        **changes: Any,
    ) -> None:
        small = BY_NAME[name].model_validate({"preset": "small", **changes})
        schedules = {field: schedule.rescaled(epochs) for field, schedule in small.schedules.items()}
        self.recipe = BY_NAME[name].model_validate(
            {**small.model_dump(), **{field: value.model_dump() for field, value in schedules.items()}}
        )
        spec = RunSpec(method=self.recipe, track=Track.from_slug(track), seed=7)
        source = load(spec.track, data_root)
        self.stream = task_stream(source, spec.track)
        key = spec.track.weights_key
        weights = verified(WEIGHTS[key], data_root) if key else None
        context = context_of(spec, source.card, "cpu", weights)
        self.bounds = tuple(accumulate(context.task_sizes, initial=0))
        self.randomness = context.randomness
        self.method: Any = create(self.recipe, context)

    def with_weights(self) -> Walk:
        """The same walk on a track that brings weights: the backbone's own, drawn ones."""
        self.method.context = dataclasses.replace(self.method.context, weights=Path("/brought/by/the/track"))
        return self

    def task(self, index: int) -> Task:
        return Task(index, self.bounds[: index + 2], self.stream[index].train)

    def finish(self, index: int) -> Method:
        """Learn a task completely; the network becomes the next teacher."""
        list(learn_task(self.method, self.task(index)))
        self.method.finish_task()
        return self.method

    def grown(self, index: int) -> Task:
        """A task that has begun: all tasks before it are finished, and there is room for its classes."""
        for earlier in range(index):
            self.finish(earlier)
        self.method.grow(self.task(index))
        return self.task(index)

    def grown_next(self, index: int) -> Task:
        """A task that has begun, right after the last one."""
        self.method.grow(self.task(index))
        return self.task(index)

    def phases(self, task: Task) -> Iterator[Phase]:
        """Each phase of a task before it is trained; asking for the next one trains it."""
        for number, phase in enumerate(self.method.learn(task)):
            yield phase
            list(train(phase, task, self.randomness, number))

    def batch(self, task: Task, images: int = 24) -> Batch:
        """Some images of the task and of the memory."""
        data = task.train + self.method.memory.data if len(self.method.memory) else task.train
        return next(data.batches(images, self.randomness.on_cpu("a batch", task.index)))

    def step(self, task: Task, epoch: int = 0, epochs: int = 160, index: int = 0) -> Step:
        return Step(task, epoch, epochs, index, 100)

    def state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.method.state_dict().items()}


@pytest.fixture
def start() -> Callable[..., Walk]:
    return Walk


@pytest.fixture
def start_pretrained(tmp_path: Path) -> Callable[..., Walk]:
    """Walks on digits with the transformer that the package ships, by default over tasks of 5, 3 and 2."""
    track = "digits-b5-inc3-m0-vit_8px-holdout50-letters"
    return partial(Walk, track=track, data_root=tmp_path)


def differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> set[str]:
    """Names whose tensors are not bit-identical."""
    assert first.keys() == second.keys()
    return {name for name in first if not torch.equal(first[name], second[name])}


@pytest.fixture(name="differing")
def _differing() -> Callable[[dict[str, Tensor], dict[str, Tensor]], set[str]]:
    return differing
