"""From outputs to class scores: the network's own logits, or the nearest mean of exemplars.

A classifier is prepared once after each task and then scores every test batch, so that all classifiers share
one pass over the test set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.memory import Memory
from cil_core.nets.incremental import Net, Outputs

Scorer = Callable[[Tensor, Outputs], Tensor]
"""(Prepared images, outputs of the method's network for them) → scores (B, n); the largest wins."""


class Classified(Protocol):
    """What a classifier needs from a method; `Method` satisfies it."""

    memory: Memory

    @property
    def net(self) -> Net:
        """The network whose outputs are scored."""
        ...

    def unit_features(self, data: ArrayDataset) -> Tensor:
        """Features (N, d) of unit norm: evaluation mode, no augmentation."""
        ...


class Classifier(Protocol):
    """A way of classifying with a method's network; `name` labels its accuracy curve."""

    name: str

    def prepare(self, method: Classified) -> Scorer:
        """The scorer of test batches until the next task."""
        ...


class Logits:
    """The head's logits."""

    name = "linear"

    def prepare(self, method: Classified) -> Scorer:  # noqa: ARG002 - the head needs no preparation
        """The logits themselves."""
        return lambda x, outputs: outputs.logits  # noqa: ARG005


class NearestMean:
    """Nearest mean of exemplars (iCaRL, Rebuffi et al. 2017, algorithm 1), on unit features and unit means.

    Args:
        flip: whether to average over each exemplar and its mirror image, as the official code does.
    """

    name = "nme"

    def __init__(self, *, flip: bool = False) -> None:
        self.flip = flip

    def prepare(self, method: Classified) -> Scorer:
        """Class means of the exemplars under the current extractor."""
        means = class_means(method, flip=self.flip)  # (n, d)
        return lambda x, outputs: -torch.cdist(F.normalize(outputs.features, dim=1), means)  # noqa: ARG005


class FeatureScores:
    """Scores of features by a function that a method derives from what it keeps.

    Args:
        name: of the accuracy curve.
        derive: called after each task; returns a function from features (B, d) to scores (B, n).
    """

    def __init__(self, name: str, derive: Callable[[], Callable[[Tensor], Tensor]]) -> None:
        self.name = name
        self.derive = derive

    def prepare(self, method: Classified) -> Scorer:  # noqa: ARG002 - `derive` knows the method
        """The derived function, applied to the features of every batch."""
        score = self.derive()
        return lambda x, outputs: score(outputs.features)  # noqa: ARG005


CLASSIFIERS: dict[str, Callable[[], Classifier]] = {"linear": Logits, "nme": NearestMean}
"""Classifiers by the name of their accuracy curve; a method may add its own (`Method.classifier`)."""


def class_means(method: Classified, *, flip: bool = False) -> Tensor:
    """Unit-norm means of each class's unit exemplar features, shape (n, d).

    Raises:
        ValueError: if a seen class has no exemplar.
    """
    data = method.memory.data
    features = method.unit_features(data)
    if flip:
        features = (features + method.unit_features(data.flipped())) / 2
    return unit_means(features, data.labels, method.net.classes)


def unit_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The mean feature of each class, scaled to unit norm, shape (classes, d).

    Args:
        features: (N, d).
        labels: (N,), in 0 … classes − 1.
        classes: number of classes.

    Raises:
        ValueError: if a class has no sample.
    """
    counts = torch.bincount(labels, minlength=classes)
    if bool((counts == 0).any()):
        raise ValueError(f"classes without a sample: {torch.nonzero(counts == 0).flatten().tolist()}")
    # a matrix product, because scattered additions are not deterministic on a GPU
    sums = F.one_hot(labels, classes).T.to(features) @ features
    return F.normalize(sums / counts[:, None], dim=1)
