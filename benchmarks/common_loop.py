"""The contender: iCaRL as the field's common code runs it, in our own plain implementation.

A `DataLoader` transforms PIL images one by one, in process, because its workers only cost time on two cores.
The network computes in float32, channels first and eagerly; the teacher is an ordinary copy; features are
extracted class by class; herding is numpy. Backbone, recipe, data and losses equal ours, so only the way of
computing differs. `benchmarks.methods` checks that the accuracies agree.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from torchvision import transforms

from cil_core.nets.backbones import Backbone, build_backbone
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.schedule import Schedule

Item = tuple[Tensor, int]


class Images(Dataset[Item]):
    """PIL images and labels, transformed one at a time.

    Args:
        pixels: uint8 (N, C, H, W).
        labels: int64 (N,).
        transform: from an image to a tensor.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, transform: transforms.Compose) -> None:
        self.images = [
            Image.fromarray(
                image.permute(1, 2, 0).squeeze(2).numpy()
                if len(image) == 1
                else image.permute(1, 2, 0).numpy()
            )
            for image in pixels
        ]
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> Item:
        """One transformed image and its label."""
        return self.transform(self.images[index]), self.labels[index]


def transforms_of(card: DatasetCard, *, train: bool) -> transforms.Compose:
    """The card's crops, flips and normalisation as torchvision transforms of one image."""
    steps: list[object] = []
    for token in card.augment if train else ():
        name, _, number = token.partition(":")
        steps.append(
            transforms.RandomCrop(card.size, padding=int(number))
            if name == "crop"
            else transforms.RandomHorizontalFlip()
        )
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(card.mean, card.std)])


class Network(nn.Module):
    """A backbone and a linear layer; new classes replace the layer."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc: nn.Linear | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        assert self.fc is not None
        logits: Tensor = self.fc(self.backbone(x))
        return logits

    def grow(self, new: int) -> None:
        """A wider layer that keeps the old rows."""
        known = 0 if self.fc is None else self.fc.out_features
        wider = nn.Linear(self.backbone.feature_dim, known + new)
        if self.fc is not None:
            wider.weight.data[:known] = self.fc.weight.data
            wider.bias.data[:known] = self.fc.bias.data
        self.fc = wider


class CommonLoop:
    """iCaRL over tasks in the common way.

    Args:
        card: of the dataset.
        backbone: its name.
        schedule: of every task.
        memory: exemplars in all.
        temperature: of the distillation.
        seed: of everything.
    """

    def __init__(
        self, card: DatasetCard, backbone: str, schedule: Schedule, memory: int, temperature: float, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.card, self.schedule, self.memory, self.temperature = card, schedule, memory, temperature
        self.net = Network(build_backbone(backbone, card.channels, torch.Generator().manual_seed(seed)))
        self.teacher: Network | None = None
        self.exemplars: list[tuple[Tensor, Tensor]] = []  # of each class: pixels, labels
        self.known = 0

    def learn(self, pixels: Tensor, labels: Tensor, new: int) -> None:
        """One task."""
        self.net.grow(new)
        self.train(pixels, labels)
        self.known += new
        self.remember(pixels, labels)
        self.teacher = copy.deepcopy(self.net).eval().requires_grad_(False)

    def train(self, pixels: Tensor, labels: Tensor) -> None:
        """Every epoch of one task."""
        parts = [
            Images(p, y, transforms_of(self.card, train=True)) for p, y in [(pixels, labels), *self.exemplars]
        ]
        loader: DataLoader[Item] = DataLoader(
            ConcatDataset(parts), batch_size=self.schedule.batch_size, shuffle=True
        )
        optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=self.schedule.lr,
            momentum=self.schedule.momentum,
            weight_decay=self.schedule.weight_decay,
        )
        for epoch in range(self.schedule.epochs):
            for group in optimizer.param_groups:
                group["lr"] = self.schedule.lr_at(epoch)
            self.epoch(loader, optimizer)

    def epoch(self, loader: DataLoader[Item], optimizer: torch.optim.Optimizer) -> float:
        """One pass; returns the mean loss, for which the common code synchronises at every step."""
        self.net.train()
        total = 0.0
        for x, y in loader:
            logits = self.net(x)
            loss = F.cross_entropy(logits, y)
            if self.teacher is not None:
                with torch.no_grad():
                    old = self.teacher(x)
                kept = F.log_softmax(logits[:, : old.shape[1]] / self.temperature, dim=1)
                loss = loss - (F.softmax(old / self.temperature, dim=1) * kept).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(loader)

    @torch.no_grad()
    def features(self, pixels: Tensor, labels: Tensor) -> NDArray[np.float32]:
        """Unit features, in order."""
        self.net.eval()
        loader = DataLoader(
            Images(pixels, labels, transforms_of(self.card, train=False)), batch_size=self.schedule.batch_size
        )
        features = np.concatenate([self.net.backbone(x).numpy() for x, _ in loader])
        unit: NDArray[np.float32] = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-8)
        return unit

    def remember(self, pixels: Tensor, labels: Tensor) -> None:
        """Cut every class to its quota and herd the new ones, class by class."""
        quota = self.memory // self.known
        self.exemplars = [(p[:quota], y[:quota]) for p, y in self.exemplars]
        for label in labels.unique().tolist():
            mine, its_labels = pixels[labels == label], labels[labels == label]
            chosen = herd(self.features(mine, its_labels), quota)
            self.exemplars.append((mine[chosen], its_labels[chosen]))

    def accuracy(self, pixels: Tensor, labels: Tensor) -> float:
        """Share of test images that the nearest mean of exemplars gets right."""
        means = np.stack([self.features(p, y).mean(axis=0) for p, y in self.exemplars])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        nearest = (self.features(pixels, labels) @ means.T).argmax(axis=1)
        return float((nearest == labels.numpy()).mean())


def herd(features: NDArray[np.float32], count: int) -> list[int]:
    """Greedy herding (Rebuffi et al. 2017, algorithm 4)."""
    mean, total = features.mean(axis=0), np.zeros(features.shape[1], dtype=np.float32)
    chosen: list[int] = []
    for size in range(1, min(count, len(features)) + 1):
        distance = np.linalg.norm(mean - (total + features) / size, axis=1)
        distance[chosen] = np.inf
        chosen.append(int(distance.argmin()))
        total = total + features[chosen[-1]]
    return chosen
