"""Compiling backbones (`torch.compile`): when a run gains from it, and compiled functions that all its networks share.

Decisions:
    * What is compiled is a function of a backbone and its images. PyTorch takes the weights as inputs of the code, so teachers, extractors and later tasks
      find it ready: a run compiles each kind of step once (training, a folded teacher, a frozen extractor), however many tasks it has.
    * Only whole training batches are computed so. The rest of an epoch, features and tests have other sizes and little to gain.
    * Compiled code rounds otherwise than the modules do. Both are deterministic, but they are two ways to compute, as two devices are. Whether a run is
      compiled follows from its spec and its data alone, and its environment says so.
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
"""Images trained on, each epoch counted, from which on a run gains more than compiling costs."""

KINDS_OF_STEPS = 32
"""More kinds than any method has; beyond, PyTorch raises instead of compiling for ever."""


def batches_worth_compiling(recipe: Recipe, train_images: Sequence[int]) -> frozenset[int]:
    """The batch sizes to compile for: those of the first and of later tasks, none if the run is short.

    Args:
        recipe: says how long every task is trained.
        train_images: new images of each task. Exemplars come on top and are not counted, so that nothing but spec and data decides.
    """
    schedules = recipe.schedules
    first, later = schedules["first_task"], schedules.get("later_tasks")
    trained = [(first, train_images[0]), *((later, images) for images in train_images[1:] if later)]
    enough = sum(schedule.epochs * images for schedule, images in trained) >= ENOUGH_IMAGES
    return frozenset(schedule.batch_size for schedule, _ in trained) if enough else frozenset()


@cache
def compiled(function: Callable[P, R], device: str) -> Callable[P, R]:
    """`function`, compiled whenever it meets a structure, mode or batch size for the first time.

    On CUDA the code is recorded and replayed as CUDA graphs: what a call returns is overwritten by the next one.

    Args:
        function: of modules and tensors.
        device: the type of the device it computes on, `cpu` or `cuda`.
    """
    from torch import _dynamo  # noqa: PLC0415 - seconds of imports that only compiled runs need

    _dynamo.config.recompile_limit = KINDS_OF_STEPS
    options: dict[str, Any] = {
        "compile_threads": 1,
        "triton.cudagraphs": device == "cuda",
    }  # no helper processes that might outlive this one
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)
