"""`Memory`: the exemplars, grouped by class, each class in the order of its selection.

Decisions:
    * Exemplars are kept as the dataset stores its images: pixels, or numbers of photographs.
    * Quotas are rounded down, so a budget is never exceeded; a class with fewer images than its quota keeps
      them all.
    * Old classes are truncated to the first m of their order, never selected again (iCaRL).
    * Everything is a buffer: the state dict is the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset, Batch
from cil_core.data.augment import Transform
from cil_core.learning.selection import SELECTIONS


class Memory(nn.Module):
    """Exemplars of the classes seen so far.

    Args:
        transform: how images are stored and prepared for training.
        device: of images and labels.
    """

    images: Tensor
    labels: Tensor

    def __init__(self, transform: Transform, device: torch.device) -> None:
        super().__init__()
        self.transform = transform
        self.register_buffer("images", transform.empty(device))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.long, device=device))

    def __len__(self) -> int:
        """Number of exemplars."""
        return len(self.labels)

    @property
    def data(self) -> ArrayDataset:
        """The exemplars as training data."""
        return ArrayDataset(self.images, self.labels, self.transform)

    def truncated(self, quota: int) -> ArrayDataset:
        """The first `quota` exemplars of every class."""
        kept = [
            torch.nonzero(self.labels == label).flatten()[:quota] for label in self.labels.unique().tolist()
        ]
        return self.data.select(torch.cat(kept)) if kept else self.data

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        """At most `count` random exemplars, drawn without replacement and augmented by `generator`."""
        index = torch.randperm(len(self), generator=generator, device=generator.device)[:count]
        raw = self.images[index]
        return Batch(self.transform.train(raw, generator), self.labels[index], index, raw)

    def replace(self, data: ArrayDataset) -> None:
        """Replace the exemplars by a copy of `data`, in its order."""
        self.images, self.labels = data.pixels().clone(), data.labels.clone()


def select(
    data: ArrayDataset, quota: int, selection: str, features: Callable[[ArrayDataset], Tensor]
) -> ArrayDataset:
    """The best `quota` images of each class of `data`, grouped by class, in order of priority.

    Args:
        data: candidates; classes are treated independently.
        quota: images per class; a smaller class is kept whole.
        selection: a name in `SELECTIONS`.
        features: returns unit-norm features (N, d) of a dataset, without augmentation.
    """
    chosen = []
    for label in data.labels.unique().tolist():
        members = torch.nonzero(data.labels == label).flatten()
        order = SELECTIONS[selection](features(data.select(members)), quota)
        chosen.append(members[order])
    return data.select(torch.cat(chosen))
