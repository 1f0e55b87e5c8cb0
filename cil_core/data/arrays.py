"""`ArrayDataset`: images as one uint8 tensor on a device, and the batches drawn from it.

Decisions:
    * Pixels stay uint8 until a batch is drawn: a quarter of the memory, and exemplars are stored as they
      came.
    * Labels are positions in the class order, so the classes of a task are a contiguous slice.
    * Order and augmentation come from the generator that is passed in; without one a pass is in order and not
      augmented.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cil_core.data.augment import Transform
from cil_core.data.reading import read_ahead
from cil_core.data.scaling import Images
from cil_core.spec.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some images of a dataset.

    Args:
        x: prepared images, float (B, C, H, W): augmented on request, always normalised.
        y: labels, int64 (B,).
        index: positions in the dataset they were drawn from, int64 (B,).
        raw: the images as stored, never augmented: uint8 (B, C, H, W), or numbers of photographs, int64 (B,).
    """

    x: Tensor
    y: Tensor
    index: Tensor
    raw: Tensor

    def __len__(self) -> int:
        """B."""
        return len(self.y)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayDataset:
    """Images with labels, all on one device.

    Args:
        images: uint8 (N, C, H, W), or int64 (N,): numbers of the transform's photographs.
        labels: int64 (N,), positions in the class order.
        transform: prepares the images of a batch.

    Raises:
        ValueError: if shapes or types do not fit.
    """

    images: Tensor
    labels: Tensor
    transform: Transform

    def __post_init__(self) -> None:
        numbered = self.transform.photographs is not None
        given = (self.images.dtype, self.images.ndim)
        if given != ((torch.int64, 1) if numbered else (torch.uint8, 4)):
            wanted = "int64 (N,), numbers of photographs" if numbered else "uint8 (N, C, H, W)"
            raise ValueError(f"images are {wanted}, not {self.images.dtype} {tuple(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels are int64 ({len(self.images)},) for {len(self.images)} images, not "
                f"{self.labels.dtype} {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def __add__(self, other: ArrayDataset) -> ArrayDataset:
        """These images followed by those of `other`, prepared as these are."""
        return dataclasses.replace(
            self,
            images=torch.cat([self.images, other.pixels()]),
            labels=torch.cat([self.labels, other.labels]),
        )

    def pixels(self) -> Tensor:
        """All images as one tensor on the device, as they are stored."""
        return self.images

    def select(self, index: Tensor) -> ArrayDataset:
        """The images at these positions (or under this mask), in this order."""
        return dataclasses.replace(self, images=self.images[index], labels=self.labels[index])

    def of_classes(self, low: int, high: int) -> ArrayDataset:
        """The images with labels low … high − 1."""
        return self.select((self.labels >= low) & (self.labels < high))

    def flipped(self) -> ArrayDataset:
        """The mirror images, in the same order."""
        return ArrayDataset(self.transform.mirrored(self.pixels()), self.labels, self.transform)

    def augmented_by(self, *tokens: str) -> ArrayDataset:
        """The same images with other training augmentations, e.g. `("crop:4", "flip")`."""
        return dataclasses.replace(self, transform=self.transform.with_tokens(tokens))

    def to(self, device: torch.device | str) -> ArrayDataset:
        """The same images on `device`."""
        return dataclasses.replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def batches(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        augment: bool = False,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """One pass over the images.

        Args:
            batch_size: images a batch; the last one may be smaller.
            generator: shuffles and augments; without one the pass is in order.
            augment: whether images are augmented.
            drop_last: whether a smaller last batch is left out.

        Raises:
            ValueError: augmentation needs a generator.
        """
        if augment and generator is None:
            raise ValueError("augmentation needs a generator")
        device = self.labels.device
        order = (
            _shuffled(len(self), generator).to(device)
            if generator
            else torch.arange(len(self), device=device)
        )
        end = len(self) - len(self) % batch_size if drop_last else len(self)
        for index, raw in self.read_batches(
            [order[start : min(start + batch_size, end)] for start in range(0, end, batch_size)]
        ):
            x = self.transform.train(raw, generator) if augment and generator else self.transform.plain(raw)
            yield Batch(x, self.labels[index], index, raw if isinstance(raw, Tensor) else self.images[index])

    def read_batches(self, indices: Sequence[Tensor]) -> Iterator[tuple[Tensor, Images]]:
        """Each of these index tensors with its images, on the device; photographs are read ahead."""
        photographs = self.transform.photographs
        if photographs is None:
            yield from ((index, self.images[index]) for index in indices)
            return
        numbers, device = self.images.cpu(), self.images.device
        wanted = [numbers[index.cpu()] for index in indices]
        batches = read_ahead(lambda each: photographs.read(each, device), wanted)
        yield from zip(indices, batches, strict=True)

    def balanced(self, generator: torch.Generator) -> ArrayDataset:
        """Every class randomly reduced to the size of the smallest."""
        by_class = [torch.nonzero(self.labels == label).flatten() for label in self.labels.unique().tolist()]
        smallest = min(map(len, by_class))
        chosen = [
            members[_shuffled(len(members), generator).to(members.device)[:smallest]] for members in by_class
        ]
        return self.select(torch.cat(chosen))

    def split_balanced(self, per_class: int, generator: torch.Generator) -> tuple[ArrayDataset, ArrayDataset]:
        """Hold out exactly `per_class` random images of each class.

        Returns:
            The rest, and the held-out images; both keep the order of this dataset.

        Raises:
            DataError: a class would have nothing left to train on.
        """
        held_out = torch.zeros(len(self), dtype=torch.bool, device=self.labels.device)
        for label in torch.nonzero(torch.bincount(self.labels)).flatten().tolist():
            members = torch.nonzero(self.labels == label).flatten()
            if len(members) <= per_class:
                raise DataError(
                    f"class {label} (in the order of arrival) has {len(members)} image(s):"
                    f" holding out {per_class} leaves none to train on"
                )
            held_out[members[_shuffled(len(members), generator).to(members.device)[:per_class]]] = True
        return self.select(~held_out), self.select(held_out)


def _shuffled(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator, device=generator.device)
