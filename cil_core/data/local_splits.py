"""Published splits that an operator provides as directories (`cil_core.spec.split_cards`).

Decision: classes are numbered in the order of their directories' names as text, as the field's codes number
them (`ImageFolder`). A folder that an operator registers is numbered as numbers where all names are numeric.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cil_core.data import prepared
from cil_core.data.listing import Listing, list_images
from cil_core.data.local_files import decode_splits
from cil_core.data.source import Source
from cil_core.data.split_file import SPLITS
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.data_root import arrays_directory, is_local
from cil_core.spec.download import Progress
from cil_core.spec.errors import DataError, DataUnavailable


def load(card: DatasetCard, data_root: Path) -> Source:
    """The split, decoded first if it has not been.

    Raises:
        DataError: the directories are missing, another split, or the decoded files are damaged.
    """
    for _ in fetch(card, data_root):
        pass
    return prepared.read(arrays_directory(card.name, data_root), card)


def fetch(card: DatasetCard, data_root: Path) -> Iterator[Progress]:
    """Decode the split if it has not been decoded; an interrupted decoding starts again.

    Raises:
        DataUnavailable: the directories are missing.
        DataError: they hold another split, or a file cannot be decoded.
    """
    root, arrays = data_root / card.name, arrays_directory(card.name, data_root)
    with prepared.lock(arrays):
        if is_local(card.name, data_root):
            return
        missing = [split for split in SPLITS if not (root / split).is_dir()]
        if missing:
            raise DataUnavailable(
                f"{root} has no {' and no '.join(missing)}; {card.title} is not downloaded: put "
                "train/<class>/ and test/<class>/ of the published split, or links to them, there "
                f"({card.split_source})"
            )
        files = list_images(root).files
        _check_counts(card, files, root)
        number = {name: label for label, name in enumerate(sorted({name for _, name in files["train"]}))}
        numbered = {split: [(path, number[name]) for path, name in files[split]] for split in SPLITS}
        yield from decode_splits(card, numbered, arrays)


def _check_counts(card: DatasetCard, files: Listing, root: Path) -> None:
    found = (len({name for _, name in files["train"]}), len(files["train"]), len(files["test"]))
    if found != (card.classes, card.train_images, card.test_images):
        raise DataError(
            f"{root} has {found[0]} classes, {found[1]} training and {found[2]} test images; the published "
            f"split of {card.title} has {card.classes}, {card.train_images} and {card.test_images} "
            f"({card.split_source}). Register another split under a name of its own: cil data add NAME {root}"
        )
