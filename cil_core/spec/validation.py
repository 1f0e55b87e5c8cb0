"""Whether a spec can run. Submission checks it, so that no run fails late for a reason known at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import TypeVar

from cil_core.spec.aligned_budgets import effective_budget
from cil_core.spec.catalog import BACKBONES, DATASETS, WEIGHTS, BackboneCard, DatasetCard, WeightsCard
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import DEFAULT_CLASS_ORDER, Track
from cil_core.spec.recipes import base
from cil_core.spec.samples import ClassImages, FewShot

Card = TypeVar("Card")


def check(
    recipe: base.Recipe,
    track: Track,
    datasets: Mapping[str, DatasetCard] = DATASETS,
    backbones: Mapping[str, BackboneCard] = BACKBONES,
    weights: Mapping[str, WeightsCard] = WEIGHTS,
) -> None:
    """Refuse a recipe and track that cannot be run together.

    Args:
        recipe: the method.
        track: where it would run.
        datasets: the datasets that exist here: the built-in ones and the operator's folders.
        backbones: the backbones that exist.
        weights: the weights that exist, by key.

    Raises:
        InvalidSpec: says what was given and what is allowed; `field` locates it in the job.
    """
    dataset, backbone = check_track(track, datasets, backbones, weights)
    _check_pretrained(recipe, track, weights)
    _check_memory(recipe, track, dataset)
    _check_images(recipe, track, dataset)
    recipe.check_track(dataset, backbone)
    recipe.check_tasks(len(track.protocol.task_sizes(dataset.classes)))


def resolved(track: Track, datasets: Mapping[str, DatasetCard] = DATASETS) -> Track:
    """The same track with class names in its explicit order replaced by numbers, so that both have one hash.

    Raises:
        InvalidSpec: a name is unknown, or the order does not name each class once.
    """
    order = track.protocol.class_order
    if isinstance(order, int) or all(isinstance(label, int) for label in order):
        return track
    field, dataset = ("track", "protocol", "class_order"), _known("dataset", track.dataset, datasets)
    if dataset.class_names is None:
        raise InvalidSpec(
            f"the class names of {dataset.name} are not known here; give the numbers 0 … "
            f"{dataset.classes - 1}",
            field,
        )
    number = {name: index for index, name in enumerate(dataset.class_names)}
    names = [unicodedata.normalize("NFC", label) if isinstance(label, str) else label for label in order]
    unknown = [name for name in names if isinstance(name, str) and name not in number]
    if unknown:
        known = ", ".join(dataset.class_names[:20]) + (" …" if dataset.classes > 20 else "")
        raise InvalidSpec(f"{unknown[0]!r} is no class of {dataset.name}; its classes are {known}", field)
    numbers = tuple(number[name] if isinstance(name, str) else name for name in names)
    if sorted(numbers) != list(range(dataset.classes)):
        raise InvalidSpec(
            f"the class order has {len(order)} classes; it must name each of the {dataset.classes} classes of"
            f" {dataset.name} once",
            field,
        )
    protocol = track.protocol.model_copy(update={"class_order": numbers})
    return track.model_copy(update={"protocol": protocol})


def check_track(
    track: Track,
    datasets: Mapping[str, DatasetCard] = DATASETS,
    backbones: Mapping[str, BackboneCard] = BACKBONES,
    weights: Mapping[str, WeightsCard] = WEIGHTS,
) -> tuple[DatasetCard, BackboneCard]:
    """Refuse a track that no method could run on.

    Args:
        track: the track to check.
        datasets: the datasets that exist here.
        backbones: the backbones that exist.
        weights: the weights that exist, by key.

    Returns:
        The card of its dataset, with images as the network sees them, and that of its backbone.

    Raises:
        InvalidSpec: as for `check`.
    """
    dataset = _known("dataset", track.dataset, datasets)
    named = weights.get(track.weights_key or "")
    if named is not None and track.backbone not in backbones:
        backbones = {track.backbone: named.own_backbone()}
    backbone = _known("backbone", track.backbone, backbones)
    _check_protocol(track, dataset)
    card = _weights(track, dataset, backbone, weights)
    if card is not None:
        _check_not_aligned(track, card)
        dataset = card.prepared(dataset)
    _check_size(dataset, backbone)
    return dataset, backbone


def _weights(
    track: Track, dataset: DatasetCard, backbone: BackboneCard, weights: Mapping[str, WeightsCard]
) -> WeightsCard | None:
    """The card of a track's weights; refuses weights of another backbone or for other channels."""
    field = ("track", "pretrained")
    key = track.weights_key
    if key is None and backbone.only_pretrained:
        raise InvalidSpec(
            f"{backbone.name} runs with published weights only: {', '.join(backbone.pretrained)}",
            field,
        )
    if key is None:
        return None
    card = weights.get(key)
    known = ", ".join(sorted(one.name for one in weights.values() if one.backbone == backbone.name)) or "none"
    if card is None or card.backbone != backbone.name:
        raise InvalidSpec(
            f"{backbone.name} has no weights {track.pretrained!r} for {dataset.channels} channel(s); "
            f"it has {known}, for 3",
            field,
        )
    repeats = card.pixels is not None and dataset.channels == 1
    if dataset.channels != card.channels and not repeats:
        raise InvalidSpec(
            f"the weights {card.key} take {card.channels} channels; {dataset.name} has {dataset.channels}",
            field,
        )
    return card


def _check_not_aligned(track: Track, card: WeightsCard) -> None:
    if track.memory.kind == "aligned" and card.library == "timm":
        raise InvalidSpec(
            "a memory-aligned budget compares networks that methods train from random weights; a pre-trained "
            "track takes another kind",
            ("track", "memory", "kind"),
        )


def _check_size(dataset: DatasetCard, backbone: BackboneCard) -> None:
    """Refuse images of a size that the backbone does not take, or that only weights can prepare."""
    if dataset.pixels is None and dataset.stored is not None and dataset.stored < dataset.size:
        raise InvalidSpec(
            f"images of {dataset.name} are stored at {dataset.stored} pixels, and pre-trained weights say "
            f"how they become {dataset.size}; the track names none",
            ("track", "pretrained"),
        )
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


def _check_pretrained(recipe: base.Recipe, track: Track, weights: Mapping[str, WeightsCard]) -> None:
    """Refuse a method that needs published weights without them, or the reverse."""
    if recipe.pretrained == "required" and track.pretrained == "none":
        raise InvalidSpec(
            f"{recipe.title} starts from pre-trained weights; the track names none, for example "
            "vit_b16-augreg_in21k",
            ("track", "pretrained"),
        )
    card = weights.get(track.weights_key or "")
    if recipe.needs == "sites" and card is not None and card.library != "timm":
        raise InvalidSpec(
            f"{recipe.title} adds parameters inside a transformer of timm; {card.key} is a network of "
            f"{card.library}",
            ("track", "pretrained"),
        )
    if recipe.pretrained == "refused" and track.pretrained != "none":
        raise InvalidSpec(
            f"{recipe.title} trains its own network from random weights; the track starts from "
            f"{track.pretrained}",
            ("track", "pretrained"),
        )


def _known(what: str, name: str, known: Mapping[str, Card]) -> Card:
    if name not in known:
        raise InvalidSpec(f"unknown {what} {name!r}; known: {', '.join(sorted(known))}", ("track", what))
    return known[name]


def _check_protocol(track: Track, dataset: DatasetCard) -> None:
    protocol = track.protocol
    if protocol.first > dataset.classes:
        raise InvalidSpec(
            f"the first task has {protocol.first} classes; {dataset.name} has only {dataset.classes}",
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
    if dataset.fixed_order and isinstance(order, int) and order != DEFAULT_CLASS_ORDER:
        raise InvalidSpec(
            f"classes of {dataset.name} arrive in the order of their numbers; the track names the seed "
            f"{order} for another one. Leave it out, or list the classes",
            ("track", "protocol", "class_order"),
        )
    if isinstance(order, tuple) and len(order) != dataset.classes:
        raise InvalidSpec(
            f"the class order names {len(order)} classes; {dataset.name} has {dataset.classes}",
            ("track", "protocol", "class_order"),
        )


def _check_images(recipe: base.Recipe, track: Track, dataset: DatasetCard) -> None:
    """Whether every class has enough images to hold some out, and to train on the rest."""
    if dataset.train_per_class is None:
        return
    for row in dataset.class_rows:
        name = f"class {row.number}" + (f" ({row.name})" if row.name else "")
        images = row.train or 0
        held_out = track.held_out(images)
        if track.holdout and not 0 < held_out < images:
            raise InvalidSpec(
                f"holding out {track.holdout} % of the {images} training image(s) of {name} of {dataset.name}"
                f" leaves no image to {'train' if held_out else 'test'} on",
                ("track", "holdout"),
            )
        left = _sampled(track, dataset, row.number, images - held_out, name)
        if left < recipe.min_images and track.protocol.first < dataset.classes:
            raise InvalidSpec(
                f"{recipe.title} needs at least {recipe.min_images} training images per class;"
                f" {name} of {dataset.name} has {left}" + (f" in {track.sample}" if track.sampling else ""),
                ("track", "sample" if track.sampling else "dataset"),
            )


def _sampled(track: Track, dataset: DatasetCard, number: int, images: int, name: str) -> int:
    """The fewest images of a class that the track's sample may keep, of those not held out.

    The order of classes is not drawn here, so a class counts as if it arrived last.
    """
    sample = track.sampling
    if sample is None:
        return images
    if isinstance(sample, FewShot) and images < sample.shots:
        raise InvalidSpec(
            f"{track.sample} needs {sample.shots} training images of every class; {name} of {dataset.name}"
            f" has {images}",
            ("track", "sample"),
        )
    kept = [count - track.held_out(count) for count in dataset.train_per_class or ()]
    one = ClassImages(number, dataset.classes - 1, base=False, images=images)
    return one.kept(sample, sum(kept) / len(kept), dataset.classes)


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
