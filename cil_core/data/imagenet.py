"""ImageNet (ILSVRC 2012): decoded once from a local directory, because no program may download it.

    <data root>/imagenet/train/<wnid>/*.JPEG      the 1000 directories of the training set; may be a link
    <data root>/imagenet/val/<wnid>/*.JPEG        the validation images, sorted likewise: the test set

Decisions:
    * Photographs are kept whole, with a shorter side of 256 pixels, so that training crops them as it would
      crop the files. Decoding all of them once costs minutes to hours; after that a batch is a copy out of
      mapped pages.
    * ImageNet-100 is the subset of Hou et al. (UCIR, CVPR 2019): the first hundred of
      `RandomState(1993).permutation(1000)` of the sorted WordNet ids. Its classes are numbered in the order
      of their ids; the track's class order then applies, as for any dataset.
    * Files are written in place and renamed when they are complete: a dataset larger than memory is decoded
      without being held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cil_core.data import prepared
from cil_core.data.images import EXTENSIONS
from cil_core.data.local_files import decode_splits
from cil_core.data.source import Source
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.data_root import arrays_directory, is_local
from cil_core.spec.download import Progress
from cil_core.spec.errors import DataError, DataUnavailable

CLASSES = 1000
SUBSET_SEED = 1993

Listing = list[tuple[Path, int]]


def load(card: DatasetCard, data_root: Path) -> Source:
    """ImageNet or a subset, decoded first if it has not been.

    Raises:
        DataError: the local directory is missing or incomplete, or the decoded files are damaged.
    """
    for _ in fetch(card, data_root):
        pass
    directory = arrays_directory(card.name, data_root)
    return prepared.read(
        directory,
        counted(
            card,
            *(len(np.load(directory / f"{split}_labels.npy", mmap_mode="r")) for split in ("train", "test")),
        ),
    )


def fetch(card: DatasetCard, data_root: Path) -> Iterator[Progress]:
    """Decode the dataset if it has not been decoded; an interrupted decoding starts again.

    Raises:
        DataError: names the directory or the file that is missing or cannot be decoded.
    """
    arrays = arrays_directory(card.name, data_root)
    with prepared.lock(arrays):
        if is_local(card.name, data_root):
            return
        chosen = subset(classes(data_root / "imagenet"), card.classes)
        files = {
            split: listing(data_root / "imagenet" / folder, chosen)
            for split, folder in (("train", "train"), ("test", "val"))
        }
        yield from decode_splits(counted(card, len(files["train"]), len(files["test"])), files, arrays)


def classes(root: Path) -> list[str]:
    """The WordNet ids, sorted.

    Raises:
        DataUnavailable: if there are not a thousand.
    """
    found = sorted(path.name for path in (root / "train").glob("*") if path.is_dir())
    if len(found) != CLASSES:
        raise DataUnavailable(
            f"{root / 'train'} has {len(found)} directories of classes, not {CLASSES}; ImageNet is not "
            "downloaded: get ILSVRC 2012 from image-net.org "
            f"and put it, or a link to it, there, with the validation images sorted into "
            f"{root / 'val'}/<wnid>/"
        )
    return found


def subset(wnids: Sequence[str], count: int) -> list[str]:
    """The classes of ImageNet-`count`, sorted; all of them for 1000."""
    return sorted(wnids[index] for index in np.random.RandomState(SUBSET_SEED).permutation(CLASSES)[:count])


def listing(directory: Path, chosen: Sequence[str]) -> Listing:
    """Every image of the chosen classes with its label.

    Raises:
        DataError: names a class without images.
    """
    files: Listing = []
    for label, wnid in enumerate(chosen):
        paths = sorted(path for path in (directory / wnid).glob("*") if path.suffix.lower() in EXTENSIONS)
        if not paths:
            raise DataError(f"{directory / wnid} has no images")
        files += [(path, label) for path in paths]
    return files


def counted(card: DatasetCard, train: int, test: int) -> DatasetCard:
    """The card with the numbers of images found."""
    return card.model_copy(update={"train_images": train, "test_images": test})
