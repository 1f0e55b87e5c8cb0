"""Both codes at the same point: one of our methods, and the learner of PyCIL with its weights."""

from __future__ import annotations

import copy
import importlib
import logging
import sys
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks.parity.links import Link, copy_weights, expandable
from cil_core.data import load
from cil_core.data.order import task_stream
from cil_core.engine.registry import create
from cil_core.engine.run import context_of, learn_task
from cil_core.learning.phase import Batch, Step, Task
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.recipes import BY_NAME

TRACK = "digits-b0-inc3-m60-convnet"
BOUNDS = (0, 3, 6, 9)
KNOWN, SEEN = BOUNDS[-2:]

ARGS: dict[str, Any] = {
    "convnet_type": "ours",
    "memory_size": 60,
    "device": [torch.device("cpu")],
    "reg_term": 1e-3,
    "sinkhorn": 0.464,
    "calibration_term": 1.5,
    "norm_term": 3.0,
    "alpha_aux": 1.0,
    "train_base": True,
    "train_adaptive": False,
    "epochs": 1,
    "boosting_epochs": 1,
    "compression_epochs": 1,
    "beta1": 0.96,
    "beta2": 0.97,
    "is_teacher_wa": False,
    "is_student_wa": False,
    "lambda_okd": 1,
    "wa_value": 1,
    "oofc": "ft",
    "T": 2,
    "lr": 0.1,
    "dataset": "digits",
    "temp": 0.1,
    "lambda_fkd": 10,
    "lambda_proto": 10,
    "batch_size": 1,
}


class Ours:
    """One of our methods at the start of its third task, with a batch of that task and of the memory."""

    def __init__(self, name: str, preset: str | None = None) -> None:
        recipe = BY_NAME[name].model_validate({"preset": preset} if preset else {})
        schedules = {
            field: schedule.rescaled(1).model_copy(update={"batch_size": 64, "lr": 0.01})
            for field, schedule in recipe.schedules.items()
        }
        spec = RunSpec(method=recipe.model_copy(update=schedules), track=Track.from_slug(TRACK), seed=1)
        source = load(spec.track, Path("/nonexistent"))  # digits come with scikit-learn
        stream = task_stream(source, spec.track)
        context = context_of(spec, source.card, "cpu")
        bounds = tuple(accumulate(context.task_sizes, initial=0))
        self.method: Any = create(spec.method, context)
        for index in range(2):
            list(learn_task(self.method, Task(index, bounds[: index + 2], stream[index].train)))
            self.method.finish_task()
        self.task = Task(2, bounds[:4], stream[2].train)
        self.method.grow(self.task)
        self._move()
        own = self.method.recipe.uses_memory and name != "gem"
        data = self.task.train + self.method.memory.data if own else self.task.train
        self.batch: Batch = next(data.batches(32, context.randomness.on_cpu("parity")))
        self.step = Step(self.task, 0, 160, 0, 10)

    def _move(self) -> None:
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in self.method.net.parameters():
                if parameter.requires_grad and parameter.is_floating_point():
                    parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator).to(parameter))

    @property
    def net(self) -> Any:
        """The network that trains."""
        return self.method.net

    def loss(self, terms: Iterable[Tensor] | None = None, model: nn.Module | None = None) -> float:
        """The value of the loss; its gradient is left in the parameters."""
        (self.net if model is None else model).train()
        self.method.zero_grad(set_to_none=True)
        total = torch.stack(
            list(self.method.losses(self.batch, self.step).values() if terms is None else terms)
        ).sum()
        total.backward()
        return float(total.detach())


class Stop(Exception):
    """Ends PyCIL's loop after one step."""


class Recorder:
    """In place of PyCIL's optimiser and scheduler: records the first step's loss, then stops the loop."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.loss = float("nan")

    def run(self, loop: Callable[..., Any], *arguments: Any) -> float:
        """The loss of the loop's first step."""
        backward: Callable[..., None] = torch.Tensor.backward

        def recording(tensor: Tensor, *given: Any, **options: Any) -> None:
            self.loss = float(tensor.detach())
            backward(tensor, *given, **options)

        with mock.patch.object(torch.Tensor, "backward", recording):
            try:
                loop(*arguments)
            except Stop:
                return self.loss
        raise RuntimeError(f"{loop.__name__} ended without a step of its optimiser")

    def step(self) -> None:
        """Stop at the first step."""
        raise Stop

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.net.zero_grad(set_to_none=True)


class Bridge(nn.Module):
    """A backbone of ours behind the interface of PyCIL's."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone).requires_grad_(True)
        self.backbone.to(memory_format=torch.contiguous_format)  # PyCIL's GEM views gradients as vectors
        self.out_dim = backbone.feature_dim

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Maps and features."""
        maps = self.backbone.maps(x)
        return {"fmaps": list(maps), "features": self.backbone.pool(maps[-1])}


class Theirs:
    """PyCIL, imported from a checkout."""

    def __init__(self, path: Path) -> None:
        sys.path.insert(0, str(path))
        self.nets: Any = importlib.import_module("utils.inc_net")
        logging.disable(logging.INFO)

    def learner(
        self, module: str, kind: str, ours: Ours, links: Callable[..., list[Link]], **settings: Any
    ) -> Any:
        """A learner of PyCIL at the same point, with the same weights and the same teacher."""
        source = importlib.import_module(f"models.{module}")
        backbone = ours.method.fresh_backbone(9)
        made = (copy.deepcopy(backbone.trunk), _with_width(backbone)) if module == "memo" else None
        self.nets.get_convnet = lambda *_: copy.deepcopy(made) if made else Bridge(backbone)
        learner = getattr(source, kind)(ARGS | settings)
        learner._cur_task, learner._known_classes, learner._total_classes = 2, KNOWN, SEEN
        learner._network_module_ptr = learner._network
        for task, seen in enumerate(settings.get("widths", BOUNDS[1:])):
            if task == len(settings.get("widths", BOUNDS[1:])) - 1 and ours.method.teacher is not None:
                learner._old_network = copy.deepcopy(learner._network)
            learner._network.update_fc(seen, *((task,) if module == "podnet" else ()))
        if links is not expandable:
            copy_weights(links(ours.net, learner._network))
            if learner._old_network is not None:
                copy_weights(links(ours.method.teacher, learner._old_network))
                learner._old_network.freeze()
        return learner


def _with_width(backbone: Any) -> nn.Module:
    last: Any = copy.deepcopy(backbone.specialised)
    last.feature_dim = backbone.feature_dim
    return last  # type: ignore[no-any-return]


def data(batch: Batch) -> list[tuple[int, Tensor, Tensor]]:
    """A loader of PyCIL with one batch."""
    return [(0, batch.x, batch.y)]
