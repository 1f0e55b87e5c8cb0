"""Memory-aligned tracks: a method may keep as many bytes as unpruned DER needs.

Bytes that its networks do not take become exemplars.

Zhou et al., Class-Incremental Learning: A Survey (arXiv:2302.03648), section 6: "a model or 603 exemplars".
Torch-free.
"""

from __future__ import annotations

from cil_core.spec.catalog import BACKBONES, BackboneCard, DatasetCard
from cil_core.spec.jobs import MemoryBudget, Track
from cil_core.spec.recipes import base

FLOAT32_BYTES = 4


def aligned_exemplars(exemplars: int, tasks: int, backbone: int, kept: int, image_bytes: int) -> int:
    """Exemplars of a method on a memory-aligned track: E + ⌊(B·P − P_method)·4 / bytes of an image⌋.

    The quotient is rounded down once, over all tasks together.

    Args:
        exemplars: E, which DER keeps.
        tasks: B.
        backbone: P, parameters of one backbone.
        kept: P_method, parameters of the method's backbones after the last task.
        image_bytes: bytes of one exemplar.
    """
    return exemplars + (tasks * backbone - kept) * FLOAT32_BYTES // image_bytes


def final_parameters(recipe: base.Recipe, tasks: int, backbone: BackboneCard, channels: int) -> int:
    """Parameters of a method's backbones after `tasks` tasks, as known before the run: unpruned."""
    parameters = backbone.parameters_for(channels)
    match recipe.grows:
        case "nothing":
            return parameters
        case "last stage":
            return parameters + (tasks - 1) * backbone.last_stage_parameters
        case "backbone":
            return tasks * parameters


def effective_budget(recipe: base.Recipe, track: Track, dataset: DatasetCard) -> MemoryBudget:
    """The budget of a method on a track: the track's own, or its share of a memory-aligned one; at least 0.

    Args:
        recipe: the method.
        track: where it runs; its backbone exists.
        dataset: the track's dataset.
    """
    if track.memory.kind != "aligned":
        return track.memory
    tasks = len(track.protocol.task_sizes(dataset.classes))
    kept = final_parameters(recipe, tasks, BACKBONES[recipe.backbone_on(track.backbone)], dataset.channels)
    plain = BACKBONES[track.backbone].parameters_for(dataset.channels)
    amount = aligned_exemplars(track.memory.amount, tasks, plain, kept, dataset.image_bytes)
    return MemoryBudget(kind="total", amount=amount) if amount > 0 else MemoryBudget(kind="none")
