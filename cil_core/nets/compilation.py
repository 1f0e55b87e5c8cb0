"""Compiling backbones (`torch.compile`): when it pays off, and functions that all networks of a run share.

Decisions:
    * The compiled function takes a backbone and its images. PyTorch treats the weights as inputs of the code,
      so that teachers, extractors and later tasks reuse it. A run compiles each kind of step once (training,
      a folded teacher, a frozen extractor), however many tasks it has.
    * Only full training batches use compiled code. The last batch of an epoch, feature extraction and
      evaluation have other sizes and little to gain.
    * Compiled code rounds differently from eager mode. Both are deterministic, but their results differ as
      those of two devices do. Whether a run is compiled follows from its spec and data alone; its recorded
      environment shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ParamSpec, TypeVar

import torch

from cil_core.spec.recipes.base import Recipe

P = ParamSpec("P")
R = TypeVar("R")

ENOUGH_IMAGES = 1_000_000
"""Trained images, each epoch counted, above which a run gains more than compiling costs."""

KINDS_OF_STEPS = 32
"""More kinds than any method has; beyond this limit PyTorch raises instead of compiling forever."""


def batches_worth_compiling(recipe: Recipe, train_images: Sequence[int]) -> frozenset[int]:
    """The batch sizes to compile for: those of first and later tasks, or none if the run is short.

    Args:
        recipe: its schedules are the length of every task's training.
        train_images: new images of each task. Exemplars are not counted, so that only spec and data decide.
    """
    schedules = recipe.schedules
    first, later = schedules["first_task"], schedules.get("later_tasks")
    trained = [(first, train_images[0]), *((later, images) for images in train_images[1:] if later)]
    enough = sum(schedule.epochs * images for schedule, images in trained) >= ENOUGH_IMAGES
    return frozenset(schedule.batch_size for schedule, _ in trained) if enough else frozenset()


@cache
def compiled(function: Callable[P, R], device: str) -> Callable[P, R]:
    """`function`, compiled for every structure, mode and batch size when it first occurs.

    On CUDA the code is recorded and replayed as CUDA graphs: each call overwrites the result of the previous
    one.

    Args:
        function: of modules and tensors.
        device: the type of the device it computes on, `cpu` or `cuda`.
    """
    from torch import _dynamo  # noqa: PLC0415 - seconds of imports that only compiled runs need

    _dynamo.config.recompile_limit = KINDS_OF_STEPS
    # one thread, because helper processes might outlive this one
    options: dict[str, Any] = {"compile_threads": 1, "triton.cudagraphs": device == "cuda"}
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)
