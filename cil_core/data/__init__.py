"""Datasets as uint8 tensors: loading, augmentation on the device, and the stream of tasks.

Decision: a dataset's module is imported when the dataset is: torchvision and scikit-learn cost more to import
than a small run to start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from cil_core.data import folder
from cil_core.data.source import Source
from cil_core.spec import folder_datasets
from cil_core.spec.catalog import DATASETS, DatasetCard
from cil_core.spec.download import Progress
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track

Loader = Callable[[DatasetCard, Path], Source]


class Provider(Protocol):
    """Gets a dataset that does not come with the installation."""

    def load(self, card: DatasetCard, data_root: Path) -> Source:
        """The dataset, fetched first if it is missing; raises DataError."""

    def fetch(self, card: DatasetCard, data_root: Path) -> Iterator[Progress]:
        """Download the dataset if it is missing; raises DataError."""


def load(track: Track, data_root: Path) -> Source:
    """The dataset of a track; a published one is downloaded if this machine does not have it.

    Args:
        track: names it.
        data_root: where this machine keeps datasets and registrations.

    Raises:
        InvalidSpec: the dataset does not exist.
        DataError: if it is missing, damaged, or not the one the track names.
    """
    if track.dataset.startswith(folder_datasets.PREFIX):
        return folder.load(track.dataset.removeprefix(folder_datasets.PREFIX), data_root)
    if track.dataset not in DATASETS:
        raise InvalidSpec(
            f"unknown dataset {track.dataset!r}; known: {', '.join(sorted(DATASETS))}", ("track", "dataset")
        )
    return loader(track.dataset)(DATASETS[track.dataset], data_root)


def loader(name: str) -> Loader:
    """How a built-in dataset is read; the names are the catalogue's."""
    if name == "digits":
        from cil_core.data import digits  # noqa: PLC0415 — see above

        return digits.load
    return provider(name).load


def provider(name: str) -> Provider:
    """Provider of a dataset that is not included: the local directories, or archives."""
    if DATASETS[name].split_source:
        from cil_core.data import local_splits  # noqa: PLC0415 — see above

        return local_splits
    if name.startswith("imagenet"):
        from cil_core.data import imagenet  # noqa: PLC0415 — see above

        return imagenet
    from cil_core.data.vision import PUBLISHED  # noqa: PLC0415 — see above

    return PUBLISHED[name]
