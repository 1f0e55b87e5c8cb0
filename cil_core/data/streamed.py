"""`StreamedDataset`: images that stay in memory-mapped files until a batch reads them.

Decisions:
    * It is used as an `ArrayDataset`; selecting moves row numbers, never pixels. Exemplars, which live on the
      device, can be added to it.
    * Reading a batch is a copy out of mapped pages. A few threads do it ahead of the consumer, so the device
      waits for neither disk nor page cache.
    * Order and augmentation come from the same generators as for resident images: where the images are stored
      changes no result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.data.reading import read_ahead


@dataclass(frozen=True, slots=True, eq=False)
class StreamedDataset(ArrayDataset):
    """Images by row numbers.

    Args:
        images: uint8 (M, C, H, W) on the CPU, as a rule memory-mapped: all images there are.
        labels: int64 (N,) on the device, of the rows.
        transform: prepares the images of a batch.
        rows: int64 (N,) on the CPU: which images; a negative number −1 − i is the i-th of `beside`.
        beside: uint8 (K, C, H, W) on the CPU, images from elsewhere, such as exemplars.

    Raises:
        ValueError: if shapes or types do not fit.
    """

    rows: Tensor
    beside: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.device.type != "cpu":
            raise ValueError(
                f"streamed images are uint8 (N, C, H, W) on the CPU, not {self.images.dtype} "
                f"{tuple(self.images.shape)} on {self.images.device}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.rows.shape:
            raise ValueError(
                f"labels are int64 ({len(self.rows)},) for {len(self.rows)} rows, not {self.labels.dtype} "
                f"{tuple(self.labels.shape)}"
            )

    @classmethod
    def from_arrays(cls, images: Tensor, labels: Tensor, transform: Transform) -> StreamedDataset:
        """All of `images`, in their order."""
        return cls(images, labels, transform, torch.arange(len(images)), images[:0])

    def __add__(self, other: ArrayDataset) -> StreamedDataset:
        """These images followed by those of `other`, which are read now unless they lie in the same files."""
        labels = torch.cat([self.labels, other.labels])
        if isinstance(other, StreamedDataset) and other.images is self.images and not len(other.beside):
            return dataclasses.replace(self, labels=labels, rows=torch.cat([self.rows, other.rows]))
        added = other.pixels().cpu()
        rows = -1 - len(self.beside) - torch.arange(len(added))
        return dataclasses.replace(
            self, labels=labels, rows=torch.cat([self.rows, rows]), beside=torch.cat([self.beside, added])
        )

    def select(self, index: Tensor) -> StreamedDataset:
        """The rows at these positions (or under this mask), in this order."""
        return dataclasses.replace(self, labels=self.labels[index], rows=self.rows[index.cpu()])

    def pixels(self) -> Tensor:
        """All images as one tensor on the device: for as many as it holds."""
        return self._read(self.rows).to(self.labels.device)

    def to(self, device: torch.device | str) -> StreamedDataset:
        """Labels and batches on `device`; the images stay."""
        return dataclasses.replace(self, labels=self.labels.to(device))

    def read_batches(self, indices: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each of these index tensors with its images, read ahead and moved to the device."""
        batches = read_ahead(self._read, [self.rows[index.cpu()] for index in indices])
        for index, raw in zip(indices, batches, strict=True):
            yield index, raw.to(self.labels.device, non_blocking=True)

    def _read(self, rows: Tensor) -> Tensor:
        found = torch.empty(
            (len(rows), *self.images.shape[1:]), dtype=torch.uint8, pin_memory=self.labels.is_cuda
        )
        stored = rows >= 0
        if bool(stored.all()):
            return torch.index_select(self.images, 0, rows, out=found)
        found[stored] = self.images[rows[stored]]
        found[~stored] = self.beside[-1 - rows[~stored]]
        return found
