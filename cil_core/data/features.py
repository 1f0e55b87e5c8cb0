"""`FeatureDataset`: features as training data for classifiers on a frozen extractor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cil_core.data.arrays import Batch


@dataclass(frozen=True, slots=True, eq=False)
class FeatureDataset:
    """Features with labels, on one device.

    Args:
        features: float (N, d).
        labels: int64 (N,), positions in the class order.

    Raises:
        ValueError: if shapes do not fit.
    """

    features: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
            raise ValueError(
                f"features are (N, d) with labels (N,), not {tuple(self.features.shape)} with "
                f"{tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        """Number of features."""
        return len(self.labels)

    def select(self, index: Tensor) -> FeatureDataset:
        """The features at these positions (or under this mask), in this order."""
        return FeatureDataset(self.features[index], self.labels[index])

    def of_classes(self, low: int, high: int) -> FeatureDataset:
        """The features with labels low … high − 1."""
        return self.select((self.labels >= low) & (self.labels < high))

    def to(self, device: torch.device | str) -> FeatureDataset:
        """The same features on `device`."""
        return FeatureDataset(self.features.to(device), self.labels.to(device))

    def batches(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        augment: bool = False,  # noqa: ARG002 - part of the interface
    ) -> Iterator[Batch]:
        """One pass, shuffled by `generator` if given; features have no augmentation.

        `x` and `raw` of a batch are both the features (B, d).
        """
        device = self.features.device
        order = (
            torch.randperm(len(self), generator=generator, device=device)
            if generator
            else torch.arange(len(self), device=device)
        )
        for index in order.split(batch_size):
            features = self.features[index]
            yield Batch(features, self.labels[index], index, features)
