"""`Published`: a dataset that is downloaded once, checked, decoded, and then read as arrays.

Decisions:
    * Downloads are resumable, and archives are checked before they are opened. Without a network, put the
      archives in place by hand.
    * The decoded arrays are kept (`prepared`), so only the first run on a machine pays for decoding.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cil_core.data import prepared
from cil_core.data.source import Arrays, Source
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.data_root import arrays_directory, files_directory, is_local
from cil_core.spec.download import Progress, RemoteFile, download
from cil_core.spec.errors import DataError

Split = tuple[Tensor, Tensor]
"""uint8 images (N, C, H, W) and int64 labels (N,)."""

UNREADABLE = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    EOFError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
"""What parsers raise for files that are not what they should be."""


@dataclass(frozen=True, slots=True)
class Published:
    """A dataset as its authors publish it.

    Args:
        archives: everything to download.
        splits: unpacks the archives in a directory and reads training and test images, at the size the card
            states.
    """

    archives: tuple[RemoteFile, ...]
    splits: Callable[[Path, DatasetCard], tuple[Split, Split]]

    def load(self, card: DatasetCard, data_root: Path) -> Source:
        """The dataset; fetched first if it is not on this machine.

        Raises:
            DataError: it can be neither found nor downloaded, or is damaged.
        """
        for _ in self.fetch(card, data_root):
            pass
        return prepared.read(arrays_directory(card.name, data_root), card)

    def fetch(self, card: DatasetCard, data_root: Path) -> Iterator[Progress]:
        """Download and decode the dataset if it is missing; may be interrupted and called again.

        Raises:
            DataError: a host cannot be reached, or a file is damaged.
        """
        root, arrays = files_directory(card.name, data_root), arrays_directory(card.name, data_root)
        with prepared.lock(arrays):
            if is_local(card.name, data_root):
                return
            for archive in self.archives:
                yield from download(archive, root)
            prepared.write(arrays, self._decoded(card, root).arrays)

    def _decoded(self, card: DatasetCard, root: Path) -> Source:
        try:
            train, test = self.splits(root, card)
        except UNREADABLE as error:
            raise DataError(
                f"{root}: the unpacked files are damaged ({error}); delete them to unpack the archives again"
            ) from error
        return Source(card, Arrays(*train, *test))
