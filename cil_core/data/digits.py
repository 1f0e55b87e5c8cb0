"""Digits: the 1797 real 8 × 8 scans that scikit-learn ships, so the engine runs anywhere without a download.

Decisions:
    * Pixel values 0 … 16 are scaled to 0 … 255.
    * scikit-learn's set has no split of its own: 80 % of each class train and 20 % test, drawn once with a
      fixed seed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cil_core.data.source import Arrays, Source
from cil_core.spec.catalog import DatasetCard

SPLIT_SEED = 0


def load(card: DatasetCard, data_root: Path) -> Source:  # noqa: ARG001 — comes with scikit-learn
    """The digits, in memory of their own."""
    images, labels, train, test = read()
    return Source(
        card, Arrays(*map(torch.from_numpy, (images[train], labels[train], images[test], labels[test])))
    )


@cache
def read() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Images (1797, 1, 8, 8), labels, and the rows of the training and of the test images.

    The file is read once per process.
    """
    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED
    )
    return images, labels.astype(np.int64), train, test
