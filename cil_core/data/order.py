"""From a dataset to a stream of tasks: the class order, and each task's training and test images.

Decisions:
    * Labels are renamed to positions in the class order, so that the classes of a task are a contiguous
      slice.
    * The order is numpy's legacy `RandomState(seed).permutation`, as in the field's published results; its
      stream never changes.
    * A track's sample (few-shot, long-tailed) chooses among the training images that no holdout takes. Its
      random streams draw for every class, so that the images of a class depend on no protocol.
    * With a holdout, a fixed share of each class's training images is the test set, and the real test set is
      not looked at. The choice depends on the dataset alone, so all methods, orders and seeds are tuned on
      the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.data.features import FeatureDataset
from cil_core.data.source import Source
from cil_core.data.streamed import StreamedDataset
from cil_core.spec.errors import DataError, InvalidSpec
from cil_core.spec.jobs import Protocol, Track
from cil_core.spec.samples import ClassImages, FewShot

HOLDOUT_SEED = 1993
LONG_TAIL_SEED = 0
"""The published long-tailed subsets are drawn by numpy's legacy stream of this seed."""

RESIDENT_BYTES = 8 * 2**30
"""Images of more bytes are read from their files batch by batch."""


@dataclass(frozen=True, slots=True)
class TaskData:
    """The images of one task's classes."""

    train: ArrayDataset
    test: ArrayDataset


def class_order(protocol: Protocol, classes: int, *, is_fixed: bool = False) -> tuple[int, ...]:
    """Original class numbers in the order in which they arrive.

    Args:
        protocol: states the order.
        classes: of the dataset.
        is_fixed: whether a seed means the order of their numbers (`DatasetCard.fixed_order`).

    Raises:
        InvalidSpec: if an explicit order does not name every class.
    """
    order = protocol.class_order
    if isinstance(order, int) and is_fixed:
        return tuple(range(classes))
    if isinstance(order, int):
        return tuple(np.random.RandomState(order).permutation(classes).tolist())
    numbers = tuple(label for label in order if isinstance(label, int))
    if len(numbers) != len(order):
        raise InvalidSpec(
            "the class order contains names, which are replaced by numbers at submission",
            ("track", "protocol", "class_order"),
        )
    if len(numbers) != classes:
        raise InvalidSpec(
            f"the class order names {len(order)} classes; the dataset has {classes}",
            ("track", "protocol", "class_order"),
        )
    return numbers


def task_stream(
    source: Source,
    track: Track,
    device: torch.device | str = "cpu",
    resident_bytes: int = RESIDENT_BYTES,
    features: tuple[Tensor, Tensor] | None = None,
) -> tuple[TaskData, ...]:
    """Each task's training and test images, in order of arrival, on `device`.

    Args:
        source: the dataset.
        track: class order, protocol, holdout, sample.
        device: of the batches.
        resident_bytes: images of more bytes in all stay in their files, and batches are read from there, as
            photographs always are.
        features: of all training and of all test images, which then replace the images.

    Raises:
        DataError: if a holdout would leave a class without training or test images, or a class has fewer
            images than the shots of a sample.
        InvalidSpec: if the class order does not fit the dataset.
    """
    classes = source.card.classes
    position = torch.empty(classes, dtype=torch.long)
    arrival = class_order(track.protocol, classes, is_fixed=source.card.fixed_order)
    position[torch.tensor(arrival)] = torch.arange(classes)
    train, test = (
        whole_datasets(source, position, resident_bytes)
        if features is None
        else _feature_datasets(source, position, features)
    )
    if track.holdout or track.sampling:
        every, chosen = train, training_images(source, track)
        train = every.select(chosen)
        test = every.select(_held_out(source, track)) if track.holdout else test
    train, test = train.to(device), test.to(device)
    bounds = accumulate(track.protocol.task_sizes(classes), initial=0)
    return tuple(
        TaskData(train.of_classes(low, high), test.of_classes(low, high)) for low, high in pairwise(bounds)
    )


def whole_datasets(
    source: Source, position: Tensor, resident_bytes: int = RESIDENT_BYTES
) -> tuple[ArrayDataset, ArrayDataset]:
    """All training and all test images in the dataset's order, labelled by the position of their class."""
    arrays = source.arrays
    streamed = arrays.train_images.nbytes + arrays.test_images.nbytes > resident_bytes

    def dataset(split: str, images: Tensor, labels: Tensor) -> ArrayDataset:
        photographs = source.photographs(split)
        transform = Transform(source.card, photographs=photographs)
        if photographs is not None:
            return ArrayDataset(torch.arange(len(photographs)), position[labels], transform)
        make = StreamedDataset.from_arrays if streamed else ArrayDataset
        return make(images, position[labels], transform)

    return (
        dataset("train", arrays.train_images, arrays.train_labels),
        dataset("test", arrays.test_images, arrays.test_labels),
    )


def training_images(source: Source, track: Track) -> Tensor:
    """Which training images a track uses: those that no holdout takes and its sample keeps, a (N,) mask.

    A few-shot list is drawn by `RandomState(seed).permutation`, a long-tailed one by the shuffles of
    `RandomState(0)`; each draws once per class, in the order of original numbers.

    Raises:
        DataError: as for `task_stream`.
    """
    available = torch.ones(len(source.arrays.train_labels), dtype=torch.bool)
    if track.holdout:
        available &= ~_held_out(source, track)
    sample = track.sampling
    if sample is None:
        return available
    classes = source.card.classes
    arrival = class_order(track.protocol, classes, is_fixed=source.card.fixed_order)
    position = {label: place for place, label in enumerate(arrival)}
    random = np.random.RandomState(sample.seed if isinstance(sample, FewShot) else LONG_TAIL_SEED)
    mean = int(available.sum()) / classes
    chosen = torch.zeros_like(available)
    for label in range(classes):
        members = torch.nonzero((source.arrays.train_labels == label) & available).flatten()
        order = torch.from_numpy(random.permutation(len(members)))
        place = position[label]
        one = ClassImages(label, place, base=place < track.protocol.first, images=len(members))
        count = one.kept(sample, mean, classes)
        if count > len(members):
            raise DataError(
                f"{source.card.name}: {track.sample} needs {count} training images of class {label}, which "
                f"has {len(members)}"
            )
        chosen[members[order[:count]]] = True
    return chosen


def _feature_datasets(
    source: Source, position: Tensor, features: tuple[Tensor, Tensor]
) -> tuple[ArrayDataset, ArrayDataset]:
    """Features in the place of images: they offer all that methods on frozen features use."""
    labels = (source.arrays.train_labels, source.arrays.test_labels)
    train, test = (FeatureDataset(each, position[own]) for each, own in zip(features, labels, strict=True))
    return cast("ArrayDataset", train), cast("ArrayDataset", test)


def _held_out(source: Source, track: Track) -> Tensor:
    """Which training images are the test set, a (N,) mask."""
    labels = source.arrays.train_labels
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    random = np.random.RandomState(HOLDOUT_SEED)
    for label in range(source.card.classes):
        members = torch.nonzero(labels == label).flatten()
        count = track.held_out(len(members))
        if not 0 < count < len(members):
            raise DataError(
                f"{source.card.name}: holding out {track.holdout} % of the {len(members)} training images of "
                f"class {label}"
                f" leaves no image to {'train' if count else 'test'} on"
            )
        held_out[members[torch.from_numpy(random.permutation(len(members))[:count])]] = True
    return held_out
