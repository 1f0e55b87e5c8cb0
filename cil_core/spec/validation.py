"""Can this spec be run at all? Asked when it is submitted, so that no run fails at hour three for something known at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from cil_core.spec.aligned_budgets import effective_budget
from cil_core.spec.catalog import BACKBONES, DATASETS, BackboneCard, DatasetCard
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import base

Card = TypeVar("Card")


def check(
    recipe: base.Recipe,
    track: Track,
    datasets: Mapping[str, DatasetCard] = DATASETS,
    backbones: Mapping[str, BackboneCard] = BACKBONES,
) -> None:
    """Refuse a recipe and track that cannot be run together.

    Args:
        recipe: the method.
        track: where it would run.
        datasets: the datasets that exist here: the built-in ones and the operator's folders.
        backbones: the backbones that exist.

    Raises:
        InvalidSpec: says what was given and what is allowed; `field` locates it in the job.
    """
    dataset, backbone = check_track(track, datasets, backbones)
    _check_memory(recipe, track, dataset)
    recipe.check_track(dataset, backbone)


def check_track(
    track: Track,
    datasets: Mapping[str, DatasetCard] = DATASETS,
    backbones: Mapping[str, BackboneCard] = BACKBONES,
) -> tuple[DatasetCard, BackboneCard]:
    """Refuse a track that no method could run on.

    Args:
        track: what is asked for.
        datasets: the datasets that exist here.
        backbones: the backbones that exist.

    Returns:
        The cards of its dataset and of its backbone.

    Raises:
        InvalidSpec: as for `check`.
    """
    dataset = _known("dataset", track.dataset, datasets)
    backbone = _known("backbone", track.backbone, backbones)
    _check_protocol(track, dataset)
    if dataset.size < backbone.min_size:
        raise InvalidSpec(
            f"{backbone.name} needs images of at least {backbone.min_size} pixels; {dataset.name} has "
            f"{dataset.size}",
            ("track", "backbone"),
        )
    if backbone.max_size and dataset.size > backbone.max_size:
        raise InvalidSpec(
            f"{backbone.name} takes images of at most {backbone.max_size} pixels; {dataset.name} has "
            f"{dataset.size}",
            ("track", "backbone"),
        )
    if track.pretrained != "none" and (track.pretrained not in backbone.pretrained or dataset.channels != 3):
        known = ", ".join(backbone.pretrained) or "none"
        reason = (
            f"{backbone.name} has no weights {track.pretrained!r} for {dataset.channels} channel(s); it "
            f"has {known}, for 3"
        )
        raise InvalidSpec(reason, ("track", "pretrained"))
    return dataset, backbone


def _known(what: str, name: str, known: Mapping[str, Card]) -> Card:
    if name not in known:
        raise InvalidSpec(f"unknown {what} {name!r}; known: {', '.join(sorted(known))}", ("track", what))
    return known[name]


def _check_protocol(track: Track, dataset: DatasetCard) -> None:
    protocol = track.protocol
    if protocol.first > dataset.classes:
        raise InvalidSpec(
            f"the first task asks for {protocol.first} classes; {dataset.name} has {dataset.classes}",
            ("track", "protocol", "first"),
        )
    left = dataset.classes - protocol.first
    if left and protocol.increment > left:
        raise InvalidSpec(
            f"after {protocol.first} classes {dataset.name} has {left} left, fewer than one increment of "
            f"{protocol.increment}",
            ("track", "protocol", "increment"),
        )
    order = protocol.class_order
    if isinstance(order, tuple) and len(order) != dataset.classes:
        raise InvalidSpec(
            f"the class order names {len(order)} classes; {dataset.name} has {dataset.classes}",
            ("track", "protocol", "class_order"),
        )


def _check_memory(recipe: base.Recipe, track: Track, dataset: DatasetCard) -> None:
    if not recipe.uses_memory:
        if track.memory.kind == "aligned" and recipe.ranked:
            raise InvalidSpec(
                f"{recipe.title} keeps no exemplars, so there is nothing to align; a track of another "
                "budget takes it",
                ("track", "memory", "kind"),
            )
        return
    quota = effective_budget(recipe, track, dataset).quota(dataset.classes, dataset.image_bytes)
    if quota < recipe.min_exemplars:
        raise InvalidSpec(
            f"{recipe.title} needs at least {recipe.min_exemplars} exemplar(s) of each of the "
            f"{dataset.classes} classes of {dataset.name}; "
            f"a budget of {track.memory.amount} ({track.memory.kind}) leaves {quota}",
            ("track", "memory", "amount"),
        )
