"""Digits: the 1797 real 8×8 scans that scikit-learn ships, so that the engine runs anywhere without a download.

Decisions:
    * Pixel values 0 … 16 are scaled to 0 … 255.
    * scikit-learn's set has no split of its own: 80 % of each class train and 20 % test, drawn once with a fixed seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cil_core.catalog import DatasetCard
from cil_core.data.source import Arrays, Source

SPLIT_SEED = 0


def load(card: DatasetCard, data_root: Path) -> Source:  # noqa: ARG001 — comes with scikit-learn
    """The digits."""
    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8))
    targets = torch.from_numpy(labels.astype(np.int64))
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED)
    return Source(card, Arrays(images[train], targets[train], images[test], targets[test]))
