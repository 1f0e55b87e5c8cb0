"""Fetching and checking the datasets of this machine, for `cil data`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cil_core.data import folder, loader, order, provider
from cil_core.spec import folder_datasets
from cil_core.spec.catalog import DATASETS
from cil_core.spec.data_root import INCLUDED, PREFIX, is_local
from cil_core.spec.download import Progress
from cil_core.spec.errors import DataError
from cil_core.spec.jobs import Track


def fetch(name: str, data_root: Path) -> Iterator[Progress]:
    """Download and decode a published dataset if it is missing; ImageNet is decoded from a local directory.

    Raises:
        DataError: it does not exist, a host cannot be reached, or a file is damaged or missing.
    """
    card = folder_datasets.card(name, data_root)
    if name in DATASETS and name not in INCLUDED:
        yield from provider(name).fetch(card, data_root)


def training_images(track: Track, data_root: Path) -> list[tuple[int, int]]:
    """The training images that a track uses: class and position in the dataset's training arrays, sorted.

    Raises:
        DataError: the dataset is not on this machine, or the track's sample does not fit it.
        InvalidSpec: the track's class order does not fit the dataset.
    """
    name = track.dataset
    if not is_local(name, data_root):
        raise DataError(f"{name} is not on this machine; `cil data list` shows those that are")
    source = loader(name)(folder_datasets.card(name, data_root), data_root)
    positions = order.training_images(source, track).nonzero().flatten()
    labels = source.arrays.train_labels[positions]
    return sorted(zip(labels.tolist(), positions.tolist(), strict=True))


def verify(name: str, data_root: Path) -> str:
    """Check a dataset byte for byte and return its fingerprint.

    A folder is compared with its registration, a published dataset with its decoded arrays.

    Raises:
        DataError: names the file that is missing, damaged or changed.
    """
    card = folder_datasets.card(name, data_root)
    if name.startswith(PREFIX):
        registered = folder.verify(name.removeprefix(PREFIX), data_root)
        return str(registered.card.fingerprint)
    if not is_local(name, data_root):
        raise DataError(f"{name} is not on this machine; `cil data fetch {name}` gets it")
    return loader(name)(card, data_root).fingerprint
