"""What the examiner counts: the bytes and exemplars that a method keeps, and its correct answers.

Decisions:
    * `kept_bytes` is the length of the state file. Exemplars are the images of the method's `Memory`; what
      else the bytes mean is not decided here, and leaderboards show both.
    * An answer is a class number. The labels are compared with it here, after its process has ended.
    * On memory-aligned tracks the whole state is limited: to unpruned DER's, with room for names and
      statistics. Elsewhere one limit holds for every method, and the size is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cil_core.data.arrays import ArrayDataset
from cil_core.engine.evaluation import TOP
from cil_core.engine.state_header import ITEM_BYTES, HeaderRow, parse
from cil_core.spec.aligned_budgets import FLOAT32_BYTES
from cil_core.spec.catalog import BACKBONES, DatasetCard
from cil_core.spec.errors import BadState, RuleBroken
from cil_core.spec.events import Counts, Footprint
from cil_core.spec.jobs import MemoryBudget, Track
from cil_core.spec.recipes import base
from workers.arena import memory_files
from workers.arena.messages import Learned

Answers = NDArray[np.int32]
"""Best classes (N, min(5, seen)), best first."""

_FLOATS = ("float", "bfloat")
_ROOM_PER_TASK = 65_536
_LABEL_BYTES = 8


def footprint(
    state: int, learned: Learned, recipe: base.Recipe, budget: MemoryBudget, seen: int, dataset: DatasetCard
) -> Footprint:
    """Count what a method keeps.

    Args:
        state: descriptor of its sealed state.
        learned: its own report; its numbers of parameters are limited by the numbers in the state.
        recipe: of the method.
        budget: of exemplars, effective for this method.
        seen: classes seen so far.
        dataset: of the track.

    Raises:
        RuleBroken: the state is damaged, or holds more exemplars than the budget allows.
    """
    with memory_files.mapped(state) as content:
        try:
            entries = parse(content)
        except BadState as error:
            raise RuleBroken(f"what it left is no state file: {error}") from None
    exemplars = _exemplars(entries, dataset)
    limit = allowed_exemplars(recipe, budget, seen, dataset)
    if limit is not None and exemplars > limit:
        raise RuleBroken(f"it keeps {exemplars} exemplars; its budget allows {limit}")
    numbers = sum(
        entry.stored_bytes // ITEM_BYTES[entry.dtype]
        for entry in entries.values()
        if entry.dtype.startswith(_FLOATS)
    )
    backbone = min(learned.backbone_parameters, numbers)
    return Footprint(
        parameters=min(learned.parameters, numbers),
        backbone_parameters=backbone,
        exemplars=exemplars,
        counted_bytes=exemplars * dataset.image_bytes + backbone * FLOAT32_BYTES,
        kept_bytes=memory_files.size(state),
    )


def allowed_exemplars(
    recipe: base.Recipe, budget: MemoryBudget, seen: int, dataset: DatasetCard
) -> int | None:
    """The most exemplars after `seen` classes; None for an upper bound, which has no limit."""
    if not recipe.ranked:
        return None
    if not recipe.uses_memory:
        return 0
    match budget.kind:
        case "total":
            return budget.amount
        case "per_class":
            return budget.amount * seen
        case "bytes":
            return budget.amount // dataset.image_bytes
        case _:
            return 0


def allowed_state_bytes(recipe: base.Recipe, track: Track, dataset: DatasetCard, limit: int) -> int:
    """The longest state: on a memory-aligned track that of unpruned DER, elsewhere `limit`."""
    if track.memory.kind != "aligned" or not recipe.ranked:
        return limit
    backbone, tasks = BACKBONES[track.backbone], len(track.protocol.task_sizes(dataset.classes))
    networks = tasks * backbone.parameters_for(dataset.channels)
    heads = dataset.classes * (tasks * backbone.feature_dim + 1) + dataset.classes * backbone.feature_dim
    exemplars = track.memory.amount * (dataset.image_bytes + _LABEL_BYTES)
    return min(limit, (networks + heads) * FLOAT32_BYTES + exemplars + tasks * _ROOM_PER_TASK)


def _exemplars(entries: Mapping[str, HeaderRow], dataset: DatasetCard) -> int:
    images = entries.get("memory.images")
    if images is None:
        return 0
    if images.dtype != "uint8" or images.shape[1:] != dataset.shape:
        raise RuleBroken(
            f"its exemplars are {images.dtype} {images.shape}, not uint8 {('N', *dataset.shape)}"
        )
    return images.shape[0]


def read_answers(result: int, classifiers: Sequence[str], images: int, seen: int) -> dict[str, Answers]:
    """The answers in a result.

    Args:
        result: descriptor of the sealed result.
        classifiers: names, in the order of the answers.
        images: number of test images.
        seen: classes seen so far.

    Raises:
        RuleBroken: it has another length, a class that has not been seen, or a class twice for one image.
    """
    shape = (len(classifiers), images, min(TOP, seen))
    expected = int(np.prod(shape)) * np.dtype(np.int32).itemsize
    if memory_files.size(result) != expected:
        raise RuleBroken(
            f"its answers take {memory_files.size(result)} bytes; {images} images need {expected}"
        )
    with memory_files.mapped(result) as content:
        table = np.frombuffer(content[:], np.int32).reshape(shape)
    if table.min() < 0 or table.max() >= seen:
        raise RuleBroken(f"its answers name classes outside 0 … {seen - 1}")
    if (np.diff(np.sort(table, axis=2), axis=2) == 0).any():
        raise RuleBroken("its answers name one class twice for one image")
    return dict(zip(classifiers, table, strict=True))


def mark(answers: Answers, tests: Sequence[ArrayDataset]) -> Counts:
    """Count correct answers per task.

    Args:
        answers: of the images of `tests`, one task after another.
        tests: with their labels.
    """
    labels = np.concatenate([test.labels.numpy() for test in tests])
    hits = answers == labels[:, None]
    ends = np.cumsum([len(test) for test in tests])[:-1]
    first, any_of_best = (np.split(values, ends) for values in (hits[:, 0], hits.any(axis=1)))
    return Counts(
        correct=tuple(int(task.sum()) for task in first),
        correct_top5=tuple(int(task.sum()) for task in any_of_best),
    )
